/* How the MVE kernels use their scratch memory; nothing here is of the architecture. */
#ifndef TOSAIC_MVE_SCRATCH_H
#define TOSAIC_MVE_SCRATCH_H

#include "tosaic/kernels.h"

/* Larger sizes, which no microcontroller holds, take the portable loops: sizes then stay far from
 * overflow.
 */
enum { TOSAIC_MVE_LIMIT = 1 << 24 };

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

static inline size_t tosaic_window(const tosaic_conv *p) {
  return (size_t)p->kernel_height * (size_t)p->kernel_width * (size_t)p->input_channels;
}

/* Windows that CONV2D gathers before it multiplies them: the larger a window, the less is gained by
 * more than one.
 */
enum { TOSAIC_COLUMNS = 4, TOSAIC_COLUMN_BYTES = 1024 };
static inline size_t tosaic_columns(const tosaic_conv *p) {
  const size_t fitting = TOSAIC_COLUMN_BYTES / tosaic_window(p);
  return fitting < 1 ? 1 : fitting > TOSAIC_COLUMNS ? TOSAIC_COLUMNS : fitting;
}

/* Whether the window of each output element lies in the input as it is. */
static inline bool tosaic_is_pointwise(const tosaic_conv *p) {
  return p->kernel_height == 1 && p->kernel_width == 1 && p->pad_top == 0 && p->pad_left == 0 &&
         (p->output_height - 1) * p->stride_y < p->input_height &&
         (p->output_width - 1) * p->stride_x < p->input_width;
}

/* Groups that CONV2D prepares at a time: a part of the filters where windows need not be gathered
 * again for the next part.
 */
enum { TOSAIC_GROUPS = 16 };
static inline size_t tosaic_groups(const tosaic_conv *p) {
  const size_t all = ((size_t)p->output_channels + 3) / 4;
  return tosaic_is_pointwise(p) && all > TOSAIC_GROUPS ? TOSAIC_GROUPS : all;
}

static inline bool tosaic_mve_takes(const tosaic_conv *p) {
  return p->weight_zp == 0 && p->input_zp >= INT8_MIN && p->input_zp <= INT8_MAX &&
         p->output_channels <= TOSAIC_MVE_LIMIT && p->input_channels <= TOSAIC_MVE_LIMIT &&
         (int64_t)p->kernel_height * p->kernel_width * p->input_channels <= TOSAIC_MVE_LIMIT;
}

#endif
