/* The matrix products of the DSP kernels: see ../matrix/matrix.h. */
#ifndef TOSAIC_DSP_MATRIX_H
#define TOSAIC_DSP_MATRIX_H

#include "output.h"
#include "scratch.h"

/* Filters of `window` elements, one behind the other, up to `end`. */
typedef struct tosaic_filters {
  size_t window;
  const int8_t *end;
} tosaic_filters;

typedef struct tosaic_matrix {
  tosaic_filters filters; /* the prepared ones */
  const int8_t *weight;
  size_t all, first, channels; /* `channels` are prepared */
  const int32_t *bias;         /* of the first of those */
  size_t bias_step;
  int32_t zero_point;
  tosaic_output output;
  uint32_t *wide; /* two windows */
} tosaic_matrix;

/* Words of two elements in which each four elements of one of two windows lie, or of a single one.
 */
enum { TOSAIC_WORDS_OF_TWO = 4, TOSAIC_WORDS_OF_ONE = 2 };

/* Add the products of two windows with 16 bits an element, in the order 0 2 1 3, and of the filters
 * at w0 and w1, of which w1 is the last one, to the sums of the first and of the second window.
 */
void tosaic_multiply_two(const tosaic_filters *filters, const uint32_t *x, const int8_t *w0,
                         const int8_t *w1, int32_t first[2], int32_t second[2]);

/* The same of one window and four filters. */
void tosaic_multiply_one(const tosaic_filters *filters, const uint32_t *x,
                         const int8_t *const four[4], int32_t sums[4]);

#endif
