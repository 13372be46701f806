#include "resize.h"

#define FRACTION(fraction, scale) (float)(fraction) / (float)(scale)
#define WHOLE(scale) 1.0f
#define STORE(data, index, value) (data)[index] = (value)

BILINEAR(f32, float, float, float, FRACTION, WHOLE, STORE)
