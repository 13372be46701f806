/* ADD, SUB, MAXIMUM and MINIMUM of int32, and TABLE of int8, by vectors. */
#include <arm_mve.h>

#include "../arithmetic.h"

#define BINARY(NAME, VECTOR, SCALAR)                                                           \
  void tosaic_##NAME##_i32(size_t n, const void *const inputs[], const size_t steps[],         \
                           void *output, const void *argument) {                               \
    const int32_t *a = (const int32_t *)inputs[0], *b = (const int32_t *)inputs[1];            \
    const size_t a_step = steps[0], b_step = steps[1];                                         \
    int32_t *y = (int32_t *)output;                                                            \
    size_t k = 0;                                                                              \
    (void)argument;                                                                            \
    if (a_step && b_step) {                                                                    \
      for (; k + 4 <= n; k += 4) vst1q_s32(y + k, VECTOR(vld1q_s32(a + k), vld1q_s32(b + k))); \
    } else if (a_step) {                                                                       \
      const int32x4_t all = vdupq_n_s32(*b);                                                   \
      for (; k + 4 <= n; k += 4) vst1q_s32(y + k, VECTOR(vld1q_s32(a + k), all));              \
    } else if (b_step) {                                                                       \
      const int32x4_t all = vdupq_n_s32(*a);                                                   \
      for (; k + 4 <= n; k += 4) vst1q_s32(y + k, VECTOR(all, vld1q_s32(b + k)));              \
    }                                                                                          \
    for (; k < n; k++) y[k] = SCALAR(a[k * a_step], b[k * b_step]);                            \
  }

BINARY(add, vaddq_s32, tosaic_wrap_add)
BINARY(sub, vsubq_s32, tosaic_wrap_sub)
BINARY(maximum, vmaxq_s32, tosaic_max)
BINARY(minimum, vminq_s32, tosaic_min)

void tosaic_table_i8(size_t n, const void *const inputs[], const size_t steps[], void *output,
                     const void *argument) {
  const int8_t *x = (const int8_t *)inputs[0], *table = (const int8_t *)argument;
  int8_t *y = (int8_t *)output;
  size_t k = 0;
  if (steps[0] == 1) {
    for (; k + 16 <= n; k += 16) { /* x + 128 as unsigned */
      const uint8x16_t index = veorq_u8(vld1q_u8((const uint8_t *)x + k), vdupq_n_u8(128));
      vst1q_s8(y + k, vldrbq_gather_offset_s8(table, index));
    }
  }
  for (; k < n; k++) y[k] = table[x[k * steps[0]] + 128];
}
