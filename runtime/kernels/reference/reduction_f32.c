#include "nan_mode.h"
#include "reduction.h"

#define ABOVE(p, x, y) tosaic_is_above(x, y, (p)->ignore_nan)

REDUCE(reduce_sum_f32, float, value + x)
REDUCE(reduce_product_f32, float, value *x)
REDUCE(reduce_max_f32, float, tosaic_max_f32(value, x, p->ignore_nan))
REDUCE(reduce_min_f32, float, tosaic_min_f32(value, x, p->ignore_nan))
ARGMAX(argmax_f32, float, ABOVE)
