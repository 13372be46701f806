/* Maximum and minimum of float32 in TOSA's two modes (section 1.10): a NaN among the operands is
 * the result, or it is ignored.
 */
#ifndef TOSAIC_REFERENCE_NAN_MODE_H
#define TOSAIC_REFERENCE_NAN_MODE_H

#include <math.h>
#include <stdbool.h>

/* Whether `x` takes the place of `y`, which came first, as the largest value. */
static inline bool tosaic_is_above(float x, float y, bool ignore_nan) {
  return x > y || (ignore_nan ? isnan(y) && !isnan(x) : isnan(x) && !isnan(y));
}

static inline float tosaic_max_f32(float a, float b, bool ignore_nan) {
  return tosaic_is_above(b, a, ignore_nan) ? b : a;
}

static inline float tosaic_min_f32(float a, float b, bool ignore_nan) {
  return -tosaic_max_f32(-a, -b, ignore_nan);
}

#endif
