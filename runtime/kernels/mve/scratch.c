/* Scratch memory of the MVE kernels. */
#include "scratch.h"

#include "../matrix/scratch_sizes.h"

size_t tosaic_depthwise_conv2d_i8_scratch(const tosaic_conv *conv) {
  if (!tosaic_takes_i8(conv)) return 0;
  return tosaic_pairs_count(conv) * sizeof(tosaic_pairs) + tosaic_outside_bytes(conv) +
         tosaic_segments(conv) * sizeof(tosaic_segment);
}
