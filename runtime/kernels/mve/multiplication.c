/* MUL, and TABLE of int16, by vectors. */
#include <arm_mve.h>

#include "../arithmetic.h"

/* Defines NAME_products: products of elements, or of elements and one for all of them. */
#define PRODUCTS(NAME, TYPE, LOAD)                                                               \
  static inline void NAME##_products(size_t n, const void *const inputs[], const size_t steps[], \
                                     int32_t *y) {                                               \
    const TYPE *a = (const TYPE *)inputs[steps[0] ? 0 : 1];                                      \
    const TYPE *b = (const TYPE *)inputs[steps[0] ? 1 : 0];                                      \
    const size_t a_step = steps[0] | steps[1], b_step = steps[0] & steps[1];                     \
    size_t k = 0;                                                                                \
    if (b_step) {                                                                                \
      for (; k + 4 <= n; k += 4) vst1q_s32(y + k, vmulq_s32(LOAD(a + k), LOAD(b + k)));          \
    } else if (a_step) {                                                                         \
      const int32_t all = *b;                                                                    \
      for (; k + 4 <= n; k += 4) vst1q_s32(y + k, vmulq_n_s32(LOAD(a + k), all));                \
    }                                                                                            \
    for (; k < n; k++) y[k] = tosaic_wrap_mul(a[k * a_step], b[k * b_step]);                     \
  }
PRODUCTS(i8, int8_t, vldrbq_s32)
PRODUCTS(i16, int16_t, vldrhq_s32)
PRODUCTS(i32, int32_t, vld1q_s32)

#define MUL(NAME)                                                                                  \
  void tosaic_mul_##NAME(size_t n, const void *const inputs[], const size_t steps[], void *output, \
                         const void *argument) {                                                   \
    (void)argument;                                                                                \
    NAME##_products(n, inputs, steps, (int32_t *)output);                                          \
  }
MUL(i8)
MUL(i16)

void tosaic_mul_i32(size_t n, const void *const inputs[], const size_t steps[], void *output,
                    const void *argument) {
  const int32_t *a = (const int32_t *)inputs[0], *b = (const int32_t *)inputs[1];
  const uint32_t shift = *(const uint8_t *)argument & 63U;
  int32_t *y = (int32_t *)output;
  if (shift == 0) {
    i32_products(n, inputs, steps, y);
    return;
  }
  const int64_t round = (int64_t)(UINT64_C(1) << (shift - 1));
  for (size_t k = 0; k < n; k++) {
    const uint64_t product = (uint64_t)((int64_t)a[k * steps[0]] * b[k * steps[1]]);
    y[k] = (int32_t)((int64_t)(product + (uint64_t)round) >> shift);
  }
}

/* 7 fractional bits between 513 entries. */
static inline int32x4_t interpolated(const int16_t *table, int32x4_t value) {
  const uint32x4_t index = vreinterpretq_u32_s32(vaddq_n_s32(vshrq_n_s32(value, 7), 256));
  const int32x4_t low = vldrhq_gather_shifted_offset_s32(table, index);
  const int32x4_t high = vldrhq_gather_shifted_offset_s32(table + 1, index);
  const int32x4_t fraction = vandq_s32(value, vdupq_n_s32(127));
  return vaddq_s32(vshlq_n_s32(low, 7), vmulq_s32(vsubq_s32(high, low), fraction));
}

void tosaic_table_i16(size_t n, const void *const inputs[], const size_t steps[], void *output,
                      const void *argument) {
  const int16_t *x = (const int16_t *)inputs[0], *table = (const int16_t *)argument;
  int32_t *y = (int32_t *)output;
  size_t k = 0;
  if (steps[0] == 1)
    for (; k + 4 <= n; k += 4) vst1q_s32(y + k, interpolated(table, vldrhq_s32(x + k)));
  for (; k < n; k++) y[k] = vgetq_lane_s32(interpolated(table, vdupq_n_s32(x[k * steps[0]])), 0);
}
