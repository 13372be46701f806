/* The reference kernels need no scratch. */
#include "tosaic/kernels.h"

#define NO_SCRATCH(NAME, PARAMETERS)                          \
  size_t tosaic_##NAME##_scratch(const PARAMETERS *ignored) { \
    (void)ignored;                                            \
    return 0;                                                 \
  }

NO_SCRATCH(conv2d_i8, tosaic_conv)
NO_SCRATCH(conv2d_i8_i4, tosaic_conv)
NO_SCRATCH(conv2d_i16, tosaic_conv)
NO_SCRATCH(depthwise_conv2d_i8, tosaic_conv)
NO_SCRATCH(depthwise_conv2d_i8_i4, tosaic_conv)
NO_SCRATCH(depthwise_conv2d_i16, tosaic_conv)
NO_SCRATCH(transpose_conv2d_i8, tosaic_conv)
NO_SCRATCH(matmul_i8, tosaic_matmul)
NO_SCRATCH(matmul_i16, tosaic_matmul)
