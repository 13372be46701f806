/* DEPTHWISE_CONV2D of int16 by weights of int8: sums of the products are 32 bits wide, to which the
 * int48 biases are added at the end.
 */
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
          int32_t products[TOSAIC_TAPS_CHANNELS];
          int64_t sums[TOSAIC_TAPS_CHANNELS];
          tosaic_sum_taps_i16(&taps, c, count, products);
          for (size_t k = 0; k < count; k++)
            sums[k] = products[k] + wide_bias(bias, (c + k) * bias_step);
          for (size_t k = 0; k < count; k += 4)
            tosaic_store_wide(&stage, sums + k, c + k, count - k < 4 ? count - k : 4,
                              index + c + k);
        }
      }
    }
}
