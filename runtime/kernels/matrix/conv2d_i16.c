/* CONV2D of int16 by weights of int8. */
#include "../reference/convolution.h"
#include "matrix.h"
#include "wide.h"
#include "windows.h"

/* For what the matrix form does not take. */
static TOSAIC_CONVOLUTION(TOSAIC_CONV3D, conv2d_i16_portable, TOSAIC_TYPES_I16)

    static void multiply_windows(const void *context, const void *x, size_t step, size_t count,
                                 size_t element) {
  tosaic_multiply_wide((const tosaic_wide *)context, x, step, count, element);
}

void tosaic_conv2d_i16(const tosaic_conv *p, const int16_t *input, const int8_t *weight,
                       const uint8_t *bias, const tosaic_rescale *rescale, void *output,
                       void *scratch) {
  if (!tosaic_takes_i16(p)) {
    tosaic_conv2d_i16_portable(p, input, weight, bias, rescale, output, scratch);
    return;
  }
  const size_t window = tosaic_window(p), channels = (size_t)p->output_channels;
  const tosaic_wide m = {.window = window,
                         .all = channels,
                         .weight = weight,
                         .bias = bias,
                         .bias_step = p->bias_channels == 1 ? 0 : 1,
                         .output = wide_output_of(rescale, channels, output),
                         .scratch = scratch};
  tosaic_each_window(p, sizeof(int16_t), input, (int8_t *)scratch + tosaic_wide_bytes(window),
                     tosaic_columns(sizeof(int16_t) * window), multiply_windows, &m);
}
