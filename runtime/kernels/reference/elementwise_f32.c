#include <math.h>

#include "elementwise.h"
#include "nan_mode.h"

#define FLOATS(DEFINE, NAME, EXPRESSION) DEFINE(NAME##_f32, float, float, EXPRESSION)

FLOATS(UNARY, abs, fabsf(a))
FLOATS(UNARY, ceil, ceilf(a))
FLOATS(UNARY, floor, floorf(a))
FLOATS(UNARY, negate, -a)
FLOATS(UNARY, reciprocal, 1 / a)
FLOATS(UNARY, rsqrt, 1 / sqrtf(a))
FLOATS(UNARY, exp, expf(a))
FLOATS(UNARY, log, logf(a))
FLOATS(UNARY, sin, sinf(a))
FLOATS(UNARY, cos, cosf(a))
FLOATS(UNARY, tanh, tanhf(a))
FLOATS(UNARY, sigmoid, 1 / (1 + expf(-a)))
FLOATS(UNARY, erf, erff(a))

static float limited(const void *argument, float value) {
  const tosaic_clamp_float *p = (const tosaic_clamp_float *)argument;
  return tosaic_min_f32(tosaic_max_f32(value, p->min, p->ignore_nan), p->max, p->ignore_nan);
}

FLOATS(UNARY, clamp, limited(argument, a))

FLOATS(BINARY, add, a + b)
FLOATS(BINARY, sub, a - b)
FLOATS(BINARY, mul, a *b)
FLOATS(BINARY, pow, powf(a, b))
FLOATS(BINARY, maximum, tosaic_max_f32(a, b, *(const bool *)argument))
FLOATS(BINARY, minimum, tosaic_min_f32(a, b, *(const bool *)argument))

BINARY(equal_f32, float, uint8_t, a == b)
BINARY(greater_f32, float, uint8_t, a > b)
BINARY(greater_equal_f32, float, uint8_t, a >= b)

UNARY(cast_i8_f32, int8_t, float, a)
UNARY(cast_i16_f32, int16_t, float, a)
UNARY(cast_i32_f32, int32_t, float, a)

/* Rounded as the processor does by default: to the nearest, ties to even. */
static int32_t rounded(float value, int32_t low, int32_t high) {
  if (isnan(value)) return 0;
  if (value <= (float)low) return low;
  if (value >= (float)high) return high;
  return (int32_t)rintf(value);
}

UNARY(cast_f32_i8, float, int8_t, rounded(a, INT8_MIN, INT8_MAX))
UNARY(cast_f32_i16, float, int16_t, rounded(a, INT16_MIN, INT16_MAX))
UNARY(cast_f32_i32, float, int32_t, rounded(a, INT32_MIN, INT32_MAX))
