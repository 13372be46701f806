#include "resize.h"

#define FRACTION(fraction, scale) (fraction)
#define WHOLE(scale) (scale)
#define STORE(data, index, value) (data)[index] = (value)

/* TOSA's limit on scales, 1 << 11, keeps results within int32. */
BILINEAR(i8, int8_t, int32_t, int32_t, FRACTION, WHOLE, STORE)
