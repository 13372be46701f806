/* Scratch memory of the MVE kernels; the portable ones among them need none. */
#include "scratch.h"

#define NO_SCRATCH(NAME, PARAMETERS)                          \
  size_t tosaic_##NAME##_scratch(const PARAMETERS *ignored) { \
    (void)ignored;                                            \
    return 0;                                                 \
  }

NO_SCRATCH(conv2d_i8_i4, tosaic_conv)
NO_SCRATCH(conv2d_i16, tosaic_conv)
NO_SCRATCH(depthwise_conv2d_i8_i4, tosaic_conv)
NO_SCRATCH(depthwise_conv2d_i16, tosaic_conv)
NO_SCRATCH(matmul_i8, tosaic_matmul)

size_t tosaic_conv2d_i8_scratch(const tosaic_conv *conv) {
  if (!tosaic_mve_takes(conv)) return 0;
  const size_t gathered =
      tosaic_is_pointwise(conv) ? 0 : tosaic_columns(conv) * tosaic_window(conv);
  return tosaic_groups(conv) * sizeof(tosaic_group) + gathered;
}

size_t tosaic_depthwise_conv2d_i8_scratch(const tosaic_conv *conv) {
  if (!tosaic_mve_takes(conv)) return 0;
  return tosaic_pairs_count(conv) * sizeof(tosaic_pairs) + tosaic_outside_bytes(conv) +
         tosaic_segments(conv) * sizeof(tosaic_segment);
}
