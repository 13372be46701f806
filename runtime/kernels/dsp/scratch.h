/* How the DSP kernels use their scratch memory; nothing here is of the architecture. */
#ifndef TOSAIC_DSP_SCRATCH_H
#define TOSAIC_DSP_SCRATCH_H

#include "tosaic/kernels.h"

static inline size_t tosaic_rounded(size_t window) { return (window + 3) & ~(size_t)3; }

/* Two windows, which are multiplied together. */
static inline size_t tosaic_columns(size_t bytes) {
  (void)bytes;
  return 2;
}

/* All: nothing is prepared. */
enum { TOSAIC_POINTWISE_FILTERS = 1 << 24 };

/* Two windows of 16 bits an element. */
static inline size_t tosaic_wide_bytes(size_t window) {
  return 2 * sizeof(int16_t) * tosaic_rounded(window);
}
static inline size_t tosaic_matrix_bytes(size_t filters, size_t window) {
  (void)filters;
  return tosaic_wide_bytes(window);
}

#include "../matrix/scratch.h"

#endif
