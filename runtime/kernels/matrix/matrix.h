/* Products of windows and filters, both rows of int8 of one size, with bias and output stage: what
 * CONV2D, TRANSPOSE_CONV2D and MATMUL of int8 come down to. Each set has them in a matrix.c of its
 * own, and in its matrix.h the structure.
 */
#ifndef TOSAIC_MATRIX_MATRIX_H
#define TOSAIC_MATRIX_MATRIX_H

#ifdef __ARM_FEATURE_MVE
#include "../mve/matrix.h"
#else
#include "../dsp/matrix.h"
#endif

/* Begin an operation with `all` filters of `window` elements. `zero_point` is that of windows. Its
 * results go to `output`, those of a window one behind the other. `scratch` has
 * tosaic_matrix_bytes() of the filters that are prepared at a time.
 */
void tosaic_matrix_init(tosaic_matrix *m, size_t window, size_t all, int32_t zero_point,
                        const tosaic_rescale *rescale, void *output, void *scratch);

/* Prepare `count` filters, which lie at `filters` and have the numbers from `first` on; filters
 * with higher numbers have had their turn. `bias` has an element for each of all filters, or one
 * for all of them where bias_step is 0.
 */
void tosaic_matrix_prepare(tosaic_matrix *m, const int8_t *filters, size_t first, size_t count,
                           const int32_t *bias, size_t bias_step);

/* Multiply `count` windows, `step` elements apart, by the prepared filters. The first result of the
 * first window, that of filter 0, is element number `index` of the output, and those of the next
 * window are `index_step` behind: the number of all filters, or more where others lie between.
 * `shifts`, unless NULL, has what is added to the sums of each window.
 */
void tosaic_matrix_run(const tosaic_matrix *m, const int8_t *x, size_t step, size_t count,
                       size_t index, size_t index_step, const int32_t *shifts);

/* The sum of `count` elements, and that of their products with others. */
int32_t tosaic_sum_i8(const int8_t *x, size_t count);
int32_t tosaic_dot_i8(const int8_t *x, const int8_t *y, size_t count);

/* Add to `sums` the products of a row of `channels` elements, less its zero point, and `count`
 * columns, neighbours in a matrix whose rows are `width` long.
 */
enum { TOSAIC_ROW_COLUMNS = 16 };
void tosaic_row_by_columns(const int8_t *row, int32_t zero_point, const int8_t *columns,
                           size_t width, size_t channels, size_t count,
                           int32_t sums[TOSAIC_ROW_COLUMNS]);

#endif
