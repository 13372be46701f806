/* Products of windows and filters with int48 accumulators: windows of int16, filters of int8 or
 * int16. Each set has them in a wide.c of its own.
 */
#ifndef TOSAIC_MATRIX_WIDE_H
#define TOSAIC_MATRIX_WIDE_H

#include "../arithmetic.h"

/* What becomes of sums. The usual rescales to int16 have shifts from 17 to 46. Of a sum that fits
 * 32 bits they are 32-bit arithmetic, as in mve/output.h: (sum * multiplier) >> 16 is the upper
 * half of a product that has the bit that rounds.
 */
typedef struct tosaic_wide_output {
  const tosaic_rescale *rescale;
  bool usual;
  void *data;
} tosaic_wide_output;

static inline tosaic_wide_output wide_output_of(const tosaic_rescale *rescale, size_t channels,
                                                void *data) {
  tosaic_wide_output output = {rescale, false, data};
  if (!rescale || !rescale->multiplier16 || rescale->output_type != TOSAIC_INT16 ||
      rescale->output_zp < INT16_MIN || rescale->output_zp > INT16_MAX) {
    return output;
  }
  const size_t count = rescale->per_channel ? channels : 1;
  for (size_t c = 0; c < count; c++) {
    const int32_t shift = rescale->shift[c];
    if (shift < 17 || shift > 46 || rescale->multiplier16[c] < 0) return output;
  }
  output.usual = true;
  return output;
}

/* A scaled sum as the rescale has it. */
static inline int32_t wide_result(const tosaic_rescale *rescale, int64_t scaled) {
  const int32_t low = (int32_t)scaled;
  const int32_t value = low != scaled ? (scaled < 0 ? INT32_MIN / 2 : INT32_MAX / 2)
                                      : tosaic_min(tosaic_max(low, INT32_MIN / 2), INT32_MAX / 2);
  return tosaic_min(tosaic_max(value + rescale->output_zp, rescale->min), rescale->max);
}

/* Store the sums of `count` channels, at most four, from `channel` on. */
void tosaic_store_wide(const tosaic_wide_output *output, const int64_t sums[4], size_t channel,
                       size_t count, size_t index);

/* The same of any number of sums that fit 32 bits, where the rescale is a usual one. */
void tosaic_store_narrow(const tosaic_wide_output *output, const int32_t *sums, size_t channel,
                         size_t count, size_t index);

/* A CONV2D of int16. */
typedef struct tosaic_wide {
  size_t window, all;
  const int8_t *weight;
  const uint8_t *bias; /* int48 */
  size_t bias_step;
  tosaic_wide_output output;
  void *scratch; /* tosaic_wide_bytes() */
} tosaic_wide;

/* Multiply `count` windows, `step` bytes apart, by all filters; the output elements are those from
 * number `element` on.
 */
void tosaic_multiply_wide(const tosaic_wide *m, const void *x, size_t step, size_t count,
                          size_t element);

/* Sums of the products of a window and four filters of int16, one behind the other. */
void tosaic_products_i16(const int16_t *x, const int16_t *const four[4], size_t window,
                         int64_t sums[4]);

/* How far the k-th of four filters is behind the first one where `left` are there: behind the last
 * one is that again.
 */
static inline size_t filter_behind(size_t k, size_t left, size_t window) {
  return (k < left ? k : left - 1) * window;
}

#endif
