/* Products with int48 accumulators by vectors of eight: a window times two filters at a time.
 * VMLALDAVA adds all products of two vectors to 64 bits. The loops are tail-predicated: see
 * matrix.c.
 */
#include "../matrix/wide.h"

#include <arm_mve.h>

#include "scratch.h"

/* Defines NAME: adds the products of a window and two filters to two sums. LOAD loads and goes on.
 */
#define MULTIPLY_TWO(NAME, TYPE, LOAD, STEP)                                               \
  static inline void NAME(const int16_t *x, const TYPE *w0, const TYPE *w1, size_t window, \
                          int64_t sums[2]) {                                               \
    int64_t s0 = sums[0], s1 = sums[1];                                                    \
    __asm__ volatile(                                                                      \
        "dlstp.16 lr, %[window]\n"                                                         \
        "1: vldrh.16 q0, [%[x]], #16\n" LOAD " q1, [%[w0]], #" STEP                        \
        "\n"                                                                               \
        "vmlaldava.s16 %Q[s0], %R[s0], q0, q1\n" LOAD " q2, [%[w1]], #" STEP               \
        "\n"                                                                               \
        "vmlaldava.s16 %Q[s1], %R[s1], q0, q2\n"                                           \
        "letp lr, 1b\n"                                                                    \
        : [s0] "+r"(s0), [s1] "+r"(s1), [x] "+r"(x), [w0] "+l"(w0), [w1] "+l"(w1)          \
        : [window] "r"(window)                                                             \
        : "q0", "q1", "q2", "lr", "memory");                                               \
    sums[0] = s0;                                                                          \
    sums[1] = s1;                                                                          \
  }
MULTIPLY_TWO(multiply_two_i8, int8_t, "vldrb.s16", "8")
MULTIPLY_TWO(multiply_two_i16, int16_t, "vldrh.16", "16")

void tosaic_products_i16(const int16_t *x, const int16_t *const four[4], size_t window,
                         int64_t sums[4]) {
  sums[0] = sums[1] = sums[2] = sums[3] = 0;
  multiply_two_i16(x, four[0], four[1], window, sums);
  multiply_two_i16(x, four[2], four[3], window, sums + 2);
}

void tosaic_multiply_wide(const tosaic_wide *m, const void *windows, size_t step, size_t count,
                          size_t element) {
  const size_t window = m->window;
  const int8_t *w = m->weight;
  for (size_t c = 0; c < m->all; c += 4, w += 4 * window) {
    const size_t left = m->all - c;
    const int8_t *four[4];
    int64_t biases[4];
    for (size_t k = 0; k < 4; k++) {
      four[k] = w + filter_behind(k, left, window);
      biases[k] = tosaic_load_i48(m->bias, (c + filter_behind(k, left, 1)) * m->bias_step);
    }
    const char *x = (const char *)windows;
    for (size_t k = 0; k < count; k++, x += step) {
      int64_t sums[4] = {biases[0], biases[1], biases[2], biases[3]};
      multiply_two_i8((const int16_t *)x, four[0], four[1], window, sums);
      multiply_two_i8((const int16_t *)x, four[2], four[3], window, sums + 2);
      tosaic_store_wide(&m->output, sums, c, left < 4 ? left : 4, (element + k) * m->all + c);
    }
  }
}

/* Four sums that fit 32 bits, or fewer. */
static inline void store_four(const tosaic_wide_output *output, const int32_t sums[4],
                              size_t channel, mve_pred16_t lanes, size_t index) {
  const tosaic_rescale *r = output->rescale;
  const int32x4_t multiplier = r->per_channel ? vldrhq_z_s32(r->multiplier16 + channel, lanes)
                                              : vdupq_n_s32(r->multiplier16[0]);
  const int32x4_t shift =
      r->per_channel ? vldrbq_z_s32(r->shift + channel, lanes) : vdupq_n_s32(r->shift[0]);
  int32x4_t x = vmulhq_s32(vldrwq_z_s32(sums, lanes), vshlq_n_s32(multiplier, 16));
  x = vrshlq_s32(x, vsubq_s32(vdupq_n_s32(16), shift));
  x = vaddq_n_s32(x, r->output_zp);
  x = vminq_s32(vmaxq_s32(x, vdupq_n_s32(r->min)), vdupq_n_s32(r->max));
  vstrhq_p_s32((int16_t *)output->data + index, x, lanes);
}

void tosaic_store_narrow(const tosaic_wide_output *output, const int32_t *sums, size_t channel,
                         size_t count, size_t index) {
  for (size_t k = 0; k < count; k += 4)
    store_four(output, sums + k, channel + k, vctp32q((uint32_t)(count - k)), index + k);
}

void tosaic_store_wide(const tosaic_wide_output *output, const int64_t sums[4], size_t channel,
                       size_t count, size_t index) {
  const tosaic_rescale *r = output->rescale;
  if (!output->usual) {
    for (size_t k = 0; k < count; k++)
      tosaic_store_i48_sum(r, sums[k], channel + k, output->data, index + k);
    return;
  }
  int32_t low[4];
  int32_t wrong = 0; /* what upper halves are more than signs */
  for (size_t k = 0; k < count; k++) {
    low[k] = (int32_t)sums[k];
    wrong |= (int32_t)(sums[k] >> 32) ^ (low[k] >> 31);
  }
  if (!wrong) {
    store_four(output, low, channel, vctp32q((uint32_t)count), index);
    return;
  }
  int16_t *to = (int16_t *)output->data + index;
  for (size_t k = 0; k < count; k++) {
    const size_t c = r->per_channel ? channel + k : 0;
    to[k] = (int16_t)wide_result(r, sqrshrl(sums[k] * r->multiplier16[c], r->shift[c]));
  }
}
