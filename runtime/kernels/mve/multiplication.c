/* MUL, and TABLE of int16, by vectors. */
#include <arm_mve.h>

#include "../arithmetic.h"

/* Four elements of an operand, or its only one; of those at `k`, the ones of `lanes`. */
#define OPERAND(NAME, TYPE, LOAD)                                                             \
  static inline int32x4_t NAME(const TYPE *x, size_t step, size_t k, mve_pred16_t lanes) {    \
    return step ? LOAD(x + k, lanes) : vdupq_n_s32(*x);                                       \
  }
OPERAND(four_i8, int8_t, vldrbq_z_s32)
OPERAND(four_i16, int16_t, vldrhq_z_s32)
OPERAND(four_i32, int32_t, vldrwq_z_s32)

#define PRODUCTS(NAME, TYPE)                                                                    \
  static void NAME##_products(size_t n, const TYPE *a, size_t a_step, const TYPE *b,            \
                              size_t b_step, int32_t *y) {                                      \
    for (size_t k = 0; k < n; k += 4) {                                                         \
      const mve_pred16_t lanes = vctp32q((uint32_t)(n - k));                                    \
      const int32x4_t x = four_##NAME(a, a_step, k, lanes);                                     \
      vstrwq_p_s32(y + k, vmulq_s32(x, four_##NAME(b, b_step, k, lanes)), lanes);               \
    }                                                                                           \
  }
PRODUCTS(i8, int8_t)
PRODUCTS(i16, int16_t)
PRODUCTS(i32, int32_t)

#define MUL(NAME, TYPE)                                                                        \
  void tosaic_mul_##NAME(size_t n, const void *const inputs[], const size_t steps[],           \
                         void *output, const void *argument) {                                 \
    (void)argument;                                                                            \
    NAME##_products(n, (const TYPE *)inputs[0], steps[0], (const TYPE *)inputs[1], steps[1],   \
                    (int32_t *)output);                                                        \
  }
MUL(i8, int8_t)
MUL(i16, int16_t)

void tosaic_mul_i32(size_t n, const void *const inputs[], const size_t steps[], void *output,
                    const void *argument) {
  const int32_t *a = (const int32_t *)inputs[0], *b = (const int32_t *)inputs[1];
  const uint32_t shift = *(const uint8_t *)argument & 63U;
  int32_t *y = (int32_t *)output;
  if (shift == 0) {
    i32_products(n, a, steps[0], b, steps[1], y);
    return;
  }
  const int64_t round = (int64_t)(UINT64_C(1) << (shift - 1));
  for (size_t k = 0; k < n; k++) {
    const uint64_t product = (uint64_t)((int64_t)a[k * steps[0]] * b[k * steps[1]]);
    y[k] = (int32_t)((int64_t)(product + (uint64_t)round) >> shift);
  }
}

/* 7 fractional bits between 513 entries. */
void tosaic_table_i16(size_t n, const void *const inputs[], const size_t steps[], void *output,
                      const void *argument) {
  const int16_t *x = (const int16_t *)inputs[0], *table = (const int16_t *)argument;
  int32_t *y = (int32_t *)output;
  for (size_t k = 0; k < n; k += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(n - k));
    const int32x4_t value = four_i16(x, steps[0], k, lanes);
    const uint32x4_t index = vreinterpretq_u32_s32(vaddq_n_s32(vshrq_n_s32(value, 7), 256));
    const int32x4_t low = vldrhq_gather_shifted_offset_z_s32(table, index, lanes);
    const int32x4_t high = vldrhq_gather_shifted_offset_z_s32(table + 1, index, lanes);
    const int32x4_t fraction = vandq_s32(value, vdupq_n_s32(127));
    const int32x4_t rise = vmulq_s32(vsubq_s32(high, low), fraction);
    vstrwq_p_s32(y + k, vaddq_s32(vshlq_n_s32(low, 7), rise), lanes);
  }
}
