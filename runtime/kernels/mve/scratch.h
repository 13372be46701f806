/* How the MVE kernels use their scratch memory; nothing here is of the architecture. */
#ifndef TOSAIC_MVE_SCRATCH_H
#define TOSAIC_MVE_SCRATCH_H

#include "tosaic/kernels.h"

/* What the output stage has to know of four channels. */
typedef struct tosaic_group {
  int32_t bias[4]; /* with the part of the input's zero point: see the kernels */
  int32_t multiplier[4];
  int32_t shift[4]; /* as VRSHL takes it: negative is to the right */
} tosaic_group;

/* Of eight channels: first those of even, then those of odd number, as VMULLB and VMULLT part them.
 */
typedef struct tosaic_pairs {
  int32_t bias[2][4], multiplier[2][4], shift[2][4];
} tosaic_pairs;

static inline size_t tosaic_pairs_count(const tosaic_conv *p) {
  return ((size_t)p->output_channels + 7) / 8;
}

/* Taps of a depthwise convolution: addresses of their inputs, `stride` bytes apart. */
typedef struct tosaic_segment {
  uint32_t input, stride, count;
} tosaic_segment;

/* Of each row of a window at most what is before, in and behind the input. */
static inline size_t tosaic_segments(const tosaic_conv *p) { return 3 * (size_t)p->kernel_height; }

/* Reads of inputs go on to whole vectors. */
static inline size_t tosaic_outside_bytes(const tosaic_conv *p) {
  return ((size_t)p->input_channels + 15) & ~(size_t)15;
}

/* Windows that are gathered before they are multiplied: the larger a window, the less is gained by
 * more than one.
 */
enum { TOSAIC_COLUMNS = 4, TOSAIC_COLUMN_BYTES = 1024 };
static inline size_t tosaic_columns(size_t bytes) {
  const size_t fitting = TOSAIC_COLUMN_BYTES / bytes;
  return fitting < 1 ? 1 : fitting > TOSAIC_COLUMNS ? TOSAIC_COLUMNS : fitting;
}

enum { TOSAIC_POINTWISE_FILTERS = 64 };

static inline size_t tosaic_matrix_bytes(size_t filters, size_t window) {
  (void)window;
  return (filters + 3) / 4 * sizeof(tosaic_group);
}

/* Windows of int16 are read where they are. */
static inline size_t tosaic_wide_bytes(size_t window) {
  (void)window;
  return 0;
}

#include "../matrix/scratch.h"

#endif
