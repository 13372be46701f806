/* CONV2D of int8 by weights of int4, which are unpacked some filters at a time. */
#include "../reference/convolution.h"
#include "conv2d_by_parts.h"
#include "unpack_i4.h"

/* For what the matrix form does not take. */
static TOSAIC_CONVOLUTION(TOSAIC_CONV3D, conv2d_i8_i4_portable, TOSAIC_TYPES_I8_I4)

    void tosaic_conv2d_i8_i4(const tosaic_conv *p, const int8_t *input, const uint8_t *weight,
                             const int32_t *bias, const tosaic_rescale *rescale, void *output,
                             void *scratch) {
  if (!tosaic_takes_i8(p)) {
    tosaic_conv2d_i8_i4_portable(p, input, weight, bias, rescale, output, scratch);
    return;
  }
  const size_t part = tosaic_copied_filters((size_t)p->output_channels, tosaic_window(p));
  conv2d_by_parts(p, input, weight, tosaic_unpack_i4, part, bias, rescale, output, scratch);
}
