/* Copies between strided arrays, and filling. Whoever includes this has defined
 *   static inline void copy_row(char *to, const char *from, size_t bytes)
 * which takes any two rows, and is right where `to` lies below `from` even if they overlap.
 */
#ifndef TOSAIC_KERNELS_STRIDED_COPY_H
#define TOSAIC_KERNELS_STRIDED_COPY_H

#include <string.h>

#include "tosaic/kernels.h"

/* The last dimension. */
static void copy_elements(const tosaic_copy *p, const char *input, char *output) {
  const ptrdiff_t from = p->input_stride[p->rank - 1], to = p->output_stride[p->rank - 1];
  const size_t size = p->size[p->rank - 1];
  if (p->element_size == 1) {
    for (size_t k = 0; k < size; k++) output[(ptrdiff_t)k * to] = input[(ptrdiff_t)k * from];
  } else {
    for (size_t k = 0; k < size; k++)
      copy_row(output + (ptrdiff_t)k * to, input + (ptrdiff_t)k * from, p->element_size);
  }
}

/* Dimensions from `dimension` up to `last`, of which each element is `row` bytes, or the last
 * dimension where that is 0.
 */
static void copy_dimension(const tosaic_copy *p, int32_t dimension, int32_t last, size_t row,
                           const char *input, char *output) {
  const ptrdiff_t from = p->input_stride[dimension], to = p->output_stride[dimension];
  const size_t size = p->size[dimension];
  if (dimension < last) {
    for (size_t k = 0; k < size; k++)
      copy_dimension(p, dimension + 1, last, row, input + (ptrdiff_t)k * from,
                     output + (ptrdiff_t)k * to);
  } else if (row) {
    for (size_t k = 0; k < size; k++)
      copy_row(output + (ptrdiff_t)k * to, input + (ptrdiff_t)k * from, row);
  } else {
    for (size_t k = 0; k < size; k++)
      copy_elements(p, input + (ptrdiff_t)k * from, output + (ptrdiff_t)k * to);
  }
}

void tosaic_copy_strided(const tosaic_copy *copy, const void *input, void *output) {
  const int32_t last = copy->rank - 1;
  const ptrdiff_t element = (ptrdiff_t)copy->element_size;
  const bool rows = copy->input_stride[last] == element && copy->output_stride[last] == element;
  const size_t row = rows ? copy->size[last] * copy->element_size : 0;
  if (last) {
    copy_dimension(copy, 0, last - 1, row, (const char *)input, (char *)output);
  } else if (rows) {
    copy_row((char *)output, (const char *)input, row);
  } else {
    copy_elements(copy, (const char *)input, (char *)output);
  }
}

void tosaic_fill(size_t count, size_t element_size, const void *value, void *output) {
  char *to = (char *)output;
  if (element_size == 1) {
    memset(output, *(const uint8_t *)value, count);
    return;
  }
  for (size_t k = 0; k < count; k++)
    copy_row(to + k * element_size, (const char *)value, element_size);
}

#endif
