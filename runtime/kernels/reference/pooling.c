#include "pooling.h"

AVG_POOL2D(i8, int8_t, int32_t, reciprocal, reciprocal_of, add_integer, average_i8)
AVG_POOL2D(i16, int16_t, int32_t, reciprocal, reciprocal_of, add_integer, average_i16)
MAX_POOL2D(i8, int8_t, INT8_MIN, larger_integer)
MAX_POOL2D(i16, int16_t, INT16_MIN, larger_integer)
