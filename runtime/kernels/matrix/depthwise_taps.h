/* Sums of the taps of a DEPTHWISE_CONV2D of int16. Each set has them in a depthwise_taps.c. */
#ifndef TOSAIC_MATRIX_DEPTHWISE_TAPS_H
#define TOSAIC_MATRIX_DEPTHWISE_TAPS_H

#include <stddef.h>
#include <stdint.h>

/* Neighbouring channels of which sums are made at a time, and taps whose products fit 30 bits. */
enum { TOSAIC_TAPS_CHANNELS = 8, TOSAIC_FITTING_TAPS = 255 };

/* The taps of an output element that are inside of the input. */
typedef struct tosaic_taps_i16 {
  const int16_t *x; /* of the first tap, channel 0 */
  const int8_t *weight;
  int32_t rows, columns;
  ptrdiff_t x_step, weight_step; /* from a tap to the next one */
  ptrdiff_t x_line, weight_line; /* what a line adds to that */
} tosaic_taps_i16;

/* Add to `sums` the products of `count` channels from `channel` on. */
void tosaic_sum_taps_i16(const tosaic_taps_i16 *taps, size_t channel, size_t count,
                         int32_t sums[TOSAIC_TAPS_CHANNELS]);

#endif
