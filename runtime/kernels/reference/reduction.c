#include "reduction.h"

#define ABOVE(p, x, y) ((x) > (y))

REDUCE(reduce_sum_i32, int32_t, tosaic_wrap_add(value, x))
REDUCE(reduce_all, uint8_t, value &&x)
REDUCE(reduce_any, uint8_t, value || x)
REDUCE(reduce_max_i8, int8_t, tosaic_max(value, x))
REDUCE(reduce_max_i16, int16_t, tosaic_max(value, x))
REDUCE(reduce_max_i32, int32_t, tosaic_max(value, x))
REDUCE(reduce_min_i8, int8_t, tosaic_min(value, x))
REDUCE(reduce_min_i16, int16_t, tosaic_min(value, x))
REDUCE(reduce_min_i32, int32_t, tosaic_min(value, x))
ARGMAX(argmax_i8, int8_t, ABOVE)
ARGMAX(argmax_i16, int16_t, ABOVE)
