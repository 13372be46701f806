/* Taps of a DEPTHWISE_CONV2D of int16: a vector has the same one of eight neighbouring channels. */
#include "../matrix/depthwise_taps.h"

#include <arm_mve.h>
#include <stdbool.h>

/* `whole` vectors need no lanes. */
static inline __attribute__((always_inline)) void sum_taps(const tosaic_taps_i16 *t, size_t channel,
                                                           bool whole, mve_pred16_t lanes,
                                                           int32_t *sums) {
  const int16_t *x = t->x + channel;
  const int8_t *weight = t->weight + channel;
  const ptrdiff_t x_step = t->x_step, weight_step = t->weight_step;
  const uint32x4_t twice = vmulq_n_u32(vidupq_n_u32(0, 1), 8);
  int32x4_t even = vldrwq_gather_offset_s32(sums, twice);
  int32x4_t odd = vldrwq_gather_offset_s32(sums + 1, twice);
  for (int32_t rows = t->rows; rows > 0; rows--, x += t->x_line, weight += t->weight_line)
    for (int32_t columns = t->columns; columns > 0; columns--, x += x_step, weight += weight_step) {
      const int16x8_t a = whole ? vld1q_s16(x) : vldrhq_z_s16(x, lanes);
      const int16x8_t b = whole ? vldrbq_s16(weight) : vldrbq_z_s16(weight, lanes);
      even = vaddq_s32(even, vmullbq_int_s16(a, b));
      odd = vaddq_s32(odd, vmulltq_int_s16(a, b));
    }
  vstrwq_scatter_offset_s32(sums, twice, even);
  vstrwq_scatter_offset_s32(sums + 1, twice, odd);
}

void tosaic_sum_taps_i16(const tosaic_taps_i16 *taps, size_t channel, size_t count,
                         int32_t sums[TOSAIC_TAPS_CHANNELS]) {
  if (count == TOSAIC_TAPS_CHANNELS) {
    sum_taps(taps, channel, true, 0, sums);
  } else {
    sum_taps(taps, channel, false, vctp16q((uint32_t)count), sums);
  }
}
