/* Scratch memory of the kernels in this folder; nothing here is of an architecture.
 *
 * Whoever includes this has defined, in the scratch.h of a set,
 *   TOSAIC_POINTWISE_FILTERS               filters that a pointwise CONV2D prepares at a time
 *   tosaic_matrix_bytes(filters, window)   scratch of a tosaic_matrix, a multiple of 16
 *   tosaic_wide_bytes(window)              likewise of a tosaic_matrix_i16
 *   tosaic_columns(bytes)                  windows of so many bytes that are gathered at a time
 */
#ifndef TOSAIC_MATRIX_SCRATCH_H
#define TOSAIC_MATRIX_SCRATCH_H

#include "tosaic/kernels.h"

/* Larger sizes, which no microcontroller holds, take the portable loops: sizes then stay far from
 * overflow.
 */
enum { TOSAIC_MATRIX_LIMIT = 1 << 24 };

static inline size_t tosaic_padded(size_t bytes) { return (bytes + 15) & ~(size_t)15; }

static inline size_t tosaic_window(const tosaic_conv *p) {
  return (size_t)p->kernel_height * (size_t)p->kernel_width * (size_t)p->input_channels;
}

/* Whether the window of each output element lies in the input as it is. */
static inline bool tosaic_is_pointwise(const tosaic_conv *p) {
  return p->kernel_height == 1 && p->kernel_width == 1 && p->pad_top == 0 && p->pad_left == 0 &&
         (p->output_height - 1) * p->stride_y < p->input_height &&
         (p->output_width - 1) * p->stride_x < p->input_width;
}

/* Whether a convolution has usual sizes and weights without a zero point. */
static inline bool tosaic_is_usual(const tosaic_conv *p) {
  return p->weight_zp == 0 && p->output_channels <= TOSAIC_MATRIX_LIMIT &&
         p->input_channels <= TOSAIC_MATRIX_LIMIT &&
         (int64_t)p->kernel_height * p->kernel_width * p->input_channels <= TOSAIC_MATRIX_LIMIT;
}

/* Those of int8 that the kernels take: inputs less their zero point have to fit 16 bits. */
static inline bool tosaic_takes_i8(const tosaic_conv *p) {
  return tosaic_is_usual(p) && p->input_zp >= INT8_MIN && p->input_zp <= INT8_MAX;
}
/* Those of int16. */
static inline bool tosaic_takes_i16(const tosaic_conv *p) {
  return tosaic_is_usual(p) && p->input_zp == 0;
}
static inline bool tosaic_takes_matmul(const tosaic_matmul *p, bool wide) {
  const int32_t low = wide ? 0 : INT8_MIN, high = wide ? 0 : INT8_MAX;
  return p->channels <= TOSAIC_MATRIX_LIMIT && p->width <= TOSAIC_MATRIX_LIMIT && p->a_zp >= low &&
         p->a_zp <= high && p->b_zp >= low && p->b_zp <= high;
}

/* Whether a MATMUL of int8 has too little to do for columns of b to be worth a transposition. */
static inline bool tosaic_goes_by_rows(const tosaic_matmul *p) {
  return p->height < 4 || p->width == 1;
}

/* How many filters are prepared at a time: a multiple of four, unless all. Windows that are
 * gathered would be gathered again for the next ones.
 */
static inline size_t tosaic_filters_at_once(const tosaic_conv *p) {
  const size_t all = (size_t)p->output_channels;
  return tosaic_is_pointwise(p) && all > TOSAIC_POINTWISE_FILTERS ? TOSAIC_POINTWISE_FILTERS : all;
}

/* The same where filters of `bytes` are copied to scratch memory first. */
enum { TOSAIC_COPIED_FILTERS = 64, TOSAIC_LEAST_FILTERS = 16, TOSAIC_COPIED_BYTES = 4096 };
static inline size_t tosaic_copied_filters(size_t all, size_t bytes) {
  size_t count = TOSAIC_COPIED_BYTES / bytes & ~(size_t)3;
  if (count > TOSAIC_COPIED_FILTERS) count = TOSAIC_COPIED_FILTERS;
  if (count < TOSAIC_LEAST_FILTERS) count = TOSAIC_LEAST_FILTERS;
  return count < all ? count : all;
}

static inline size_t tosaic_gathered_bytes(const tosaic_conv *p, size_t element_size) {
  const size_t bytes = tosaic_window(p) * element_size;
  return tosaic_is_pointwise(p) ? 0 : tosaic_padded(tosaic_columns(bytes) * bytes);
}

/* A TRANSPOSE_CONV2D is a CONV2D for each place within the stride; the largest window of them. */
static inline size_t tosaic_largest_phase(const tosaic_conv *p) {
  const int32_t height = (p->kernel_height + p->stride_y - 1) / p->stride_y;
  const int32_t width = (p->kernel_width + p->stride_x - 1) / p->stride_x;
  return (size_t)height * (size_t)width * (size_t)p->input_channels;
}

#endif
