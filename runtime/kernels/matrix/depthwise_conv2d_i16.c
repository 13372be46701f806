/* DEPTHWISE_CONV2D of int16 by weights of int8: sums are 32 bits wide, and int48 biases that do
 * not fit them are added at the end.
 */
#include <string.h>

#include "../reference/convolution.h"
#include "depthwise_taps.h"
#include "matrix.h"
#include "wide.h"

/* For multipliers, and what the sums do not take. */
static TOSAIC_CONVOLUTION(TOSAIC_DEPTHWISE, depthwise_conv2d_i16_portable, TOSAIC_TYPES_I16)

    void tosaic_depthwise_conv2d_i16(const tosaic_conv *p, const int16_t *input,
                                     const int8_t *weight, const uint8_t *bias,
                                     const tosaic_rescale *rescale, void *output, void *scratch) {
  if (!tosaic_takes_i16(p) || p->output_channels != p->input_channels ||
      (int64_t)p->kernel_height * p->kernel_width > TOSAIC_FITTING_TAPS) {
    tosaic_depthwise_conv2d_i16_portable(p, input, weight, bias, rescale, output, scratch);
    return;
  }
  const size_t channels = (size_t)p->input_channels;
  const ptrdiff_t step = (ptrdiff_t)channels;
  const size_t bias_step = p->bias_channels == 1 ? 0 : 1;
  const tosaic_wide_output stage = wide_output_of(rescale, channels, output);
  bool narrow = stage.usual; /* whether sums with their biases fit 32 bits */
  int32_t *const biases = (int32_t *)scratch;
  for (size_t k = 0; k < channels; k++) {
    const int64_t value = tosaic_load_i48(bias, k * bias_step);
    biases[k] = (int32_t)value;
    narrow = narrow && value >= INT32_MIN / 2 && value <= INT32_MAX / 2;
  }
  size_t index = 0;
  for (int32_t n = 0; n < p->batches; n++)
    for (int32_t oy = 0; oy < p->output_height; oy++) {
      const tosaic_taps y =
          taps_of(oy, p->stride_y, p->pad_top, p->dilation_y, p->kernel_height, p->input_height);
      for (int32_t ox = 0; ox < p->output_width; ox++, index += channels) {
        const tosaic_taps x =
            taps_of(ox, p->stride_x, p->pad_left, p->dilation_x, p->kernel_width, p->input_width);
        const ptrdiff_t line = n * p->input_height + y.origin + y.first * p->dilation_y;
        tosaic_taps_i16 taps = {.rows = y.end - y.first,
                                .columns = x.end - x.first,
                                .x_step = p->dilation_x * step,
                                .weight_step = step};
        taps.x = input + (line * p->input_width + x.origin + x.first * p->dilation_x) * step;
        taps.weight = weight + (y.first * p->kernel_width + x.first) * step;
        taps.x_line = (ptrdiff_t)p->dilation_y * p->input_width * step - taps.columns * taps.x_step;
        taps.weight_line = (p->kernel_width - taps.columns) * step;
        for (size_t c = 0; c < channels; c += TOSAIC_TAPS_CHANNELS) {
          const size_t left = channels - c;
          const size_t count = left < TOSAIC_TAPS_CHANNELS ? left : TOSAIC_TAPS_CHANNELS;
          int32_t sums[TOSAIC_TAPS_CHANNELS];
          if (narrow) {
            memcpy(sums, biases + c, count * sizeof(sums[0]));
            tosaic_sum_taps_i16(&taps, c, count, sums);
            tosaic_store_narrow(&stage, sums, c, count, index + c);
            continue;
          }
          memset(sums, 0, sizeof(sums));
          tosaic_sum_taps_i16(&taps, c, count, sums);
          for (size_t k = 0; k < count; k++) {
            const int64_t sum = sums[k] + tosaic_load_i48(bias, (c + k) * bias_step);
            tosaic_store_i48_sum(rescale, sum, c + k, output, index + c + k);
          }
        }
      }
    }
}
