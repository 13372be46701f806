/* CONV2D of int8. */
#include "../reference/convolution.h"
#include "conv2d_by_parts.h"

/* For what the matrix form does not take. */
static TOSAIC_CONVOLUTION(TOSAIC_CONV3D, conv2d_i8_portable, TOSAIC_TYPES_I8)

    void tosaic_conv2d_i8(const tosaic_conv *p, const int8_t *input, const int8_t *weight,
                          const int32_t *bias, const tosaic_rescale *rescale, void *output,
                          void *scratch) {
  if (!tosaic_takes_i8(p)) {
    tosaic_conv2d_i8_portable(p, input, weight, bias, rescale, output, scratch);
    return;
  }
  conv2d_by_parts(p, input, weight, NULL, tosaic_filters_at_once(p), bias, rescale, output,
                  scratch);
}
