/* Columns of a matrix as rows: what MATMUL has for filters. */
#ifndef TOSAIC_MATRIX_COLUMNS_H
#define TOSAIC_MATRIX_COLUMNS_H

#include "tosaic/kernels.h"

/* Write `count` columns, one behind the other, of a matrix with `rows` rows of `width` elements, of
 * which the first column is at `from`. Not inline, for the stack of its caller.
 */
static __attribute__((noinline)) void columns_as_rows(size_t rows, size_t width, size_t count,
                                                      size_t element_size, const void *from,
                                                      void *to) {
  const ptrdiff_t element = (ptrdiff_t)element_size;
  const tosaic_copy copy = {.rank = 2,
                            .element_size = element_size,
                            .size = {count, rows},
                            .input_stride = {element, (ptrdiff_t)width * element},
                            .output_stride = {(ptrdiff_t)rows * element, element}};
  tosaic_copy_strided(&copy, from, to);
}

#endif
