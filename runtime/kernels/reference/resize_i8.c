#include "resize.h"

#define STORE(data, index, value) (data)[index] = (value)

BILINEAR(i8, int8_t, int32_t, int32_t, STORE)
