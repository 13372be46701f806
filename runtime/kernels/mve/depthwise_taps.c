/* Taps of a DEPTHWISE_CONV2D of int16: a vector has the same one of eight neighbouring channels. */
#include "../matrix/depthwise_taps.h"

#include <arm_mve.h>

void tosaic_sum_taps_i16(const tosaic_taps_i16 *t, size_t channel, size_t count,
                         int32_t sums[TOSAIC_TAPS_CHANNELS]) {
  const mve_pred16_t lanes = vctp16q((uint32_t)count);
  const int16_t *x = t->x + channel;
  const int8_t *weight = t->weight + channel;
  int32x4_t even = vdupq_n_s32(0), odd = even;
  for (int32_t rows = t->rows; rows > 0; rows--, x += t->x_line, weight += t->weight_line)
    for (int32_t columns = t->columns; columns > 0; columns--) {
      const int16x8_t a = vldrhq_z_s16(x, lanes), b = vldrbq_z_s16(weight, lanes);
      even = vaddq_s32(even, vmullbq_int_s16(a, b));
      odd = vaddq_s32(odd, vmulltq_int_s16(a, b));
      x += t->x_step;
      weight += t->weight_step;
    }
  const uint32x4_t twice = vmulq_n_u32(vidupq_n_u32(0, 1), 8);
  vstrwq_scatter_offset_s32(sums, twice, even);
  vstrwq_scatter_offset_s32(sums + 1, twice, odd);
}
