#include "nan_mode.h"
#include "pooling.h"

#define ADD(p, sum, x) (sum) + (x)
#define AVERAGE(p, sum, count) (sum) / (count)
#define LARGER(p, a, b) tosaic_max_f32(a, b, (p)->ignore_nan)

AVG_POOL2D(f32, float, float, float, (float), ADD, AVERAGE)
MAX_POOL2D(f32, float, -INFINITY, LARGER)
