/* Scratch memory of the DSP kernels; the portable ones among them need none. */
#include "scratch.h"

#define NO_SCRATCH(NAME, PARAMETERS)                          \
  size_t tosaic_##NAME##_scratch(const PARAMETERS *ignored) { \
    (void)ignored;                                            \
    return 0;                                                 \
  }

NO_SCRATCH(conv2d_i8_i4, tosaic_conv)
NO_SCRATCH(conv2d_i16, tosaic_conv)
NO_SCRATCH(depthwise_conv2d_i8, tosaic_conv)
NO_SCRATCH(depthwise_conv2d_i8_i4, tosaic_conv)
NO_SCRATCH(depthwise_conv2d_i16, tosaic_conv)
NO_SCRATCH(matmul_i8, tosaic_matmul)

/* Two windows of 16 bits an element, and a gathered one of 8. */
size_t tosaic_conv2d_i8_scratch(const tosaic_conv *conv) {
  if (!tosaic_dsp_takes(conv)) return 0;
  const size_t window = tosaic_rounded(tosaic_window(conv));
  return 2 * sizeof(int16_t) * window + (tosaic_is_pointwise(conv) ? 0 : window);
}
