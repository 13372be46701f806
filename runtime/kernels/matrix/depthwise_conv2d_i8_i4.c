/* DEPTHWISE_CONV2D of int8 by weights of int4: unpacked, then as of int8. */
#include "../reference/convolution.h"
#include "matrix.h"
#include "unpack_i4.h"

/* For what has no scratch memory. */
static TOSAIC_CONVOLUTION(TOSAIC_DEPTHWISE, depthwise_conv2d_i8_i4_portable, TOSAIC_TYPES_I8_I4)

    void tosaic_depthwise_conv2d_i8_i4(const tosaic_conv *p, const int8_t *input,
                                       const uint8_t *weight, const int32_t *bias,
                                       const tosaic_rescale *rescale, void *output, void *scratch) {
  if (!tosaic_takes_i8(p)) {
    tosaic_depthwise_conv2d_i8_i4_portable(p, input, weight, bias, rescale, output, scratch);
    return;
  }
  const size_t taps = (size_t)p->kernel_height * (size_t)p->kernel_width;
  const size_t count = taps * (size_t)p->output_channels;
  int8_t *const unpacked = (int8_t *)scratch;
  tosaic_unpack_i4(weight, 0, count, unpacked);
  tosaic_depthwise_conv2d_i8(p, input, unpacked, bias, rescale, output,
                             unpacked + tosaic_padded(count));
}
