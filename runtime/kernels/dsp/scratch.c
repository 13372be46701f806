/* Scratch memory of the DSP kernels. */
#include "scratch.h"

#include "../matrix/scratch_sizes.h"

#define NO_SCRATCH(NAME)                                    \
  size_t tosaic_##NAME##_scratch(const tosaic_conv *conv) { \
    (void)conv;                                             \
    return 0;                                               \
  }

NO_SCRATCH(depthwise_conv2d_i8)
NO_SCRATCH(depthwise_conv2d_i16)
