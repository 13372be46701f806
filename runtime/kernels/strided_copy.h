/* Copies between strided arrays, and filling. Whoever includes this has defined
 *   static inline void copy_row(char *to, const char *from, size_t bytes)
 * which takes any two rows, and is right where `to` lies below `from` even if they overlap; and may
 * have defined
 *   COPY_SOME(to, to_step, from, from_step, count, element_size)
 * which copies as many of `count` single elements as it wants and returns how many; and
 *   HAS_PLANES(copy) and COPY_PLANE(copy, from, to)
 * which tell whether the second copies the last two dimensions of such arrays, that do not overlap,
 * and do it.
 */
#ifndef TOSAIC_KERNELS_STRIDED_COPY_H
#define TOSAIC_KERNELS_STRIDED_COPY_H

#include <stdint.h>
#include <string.h>

#include "tosaic/kernels.h"

/* Single elements, `count` of them. */
#define COPY_ELEMENTS(TYPE)                                              \
  for (size_t k = 0; k < count; k++, to += to_step, from += from_step) { \
    TYPE element;                                                        \
    memcpy(&element, from, sizeof(element));                             \
    memcpy(to, &element, sizeof(element));                               \
  }                                                                      \
  return;

static inline void copy_each(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step,
                             size_t count, size_t element_size) {
  switch (element_size) {
    case 1:
      COPY_ELEMENTS(uint8_t)
    case 2:
      COPY_ELEMENTS(uint16_t)
    case 4:
      COPY_ELEMENTS(uint32_t)
    default:
      for (size_t k = 0; k < count; k++, to += to_step, from += from_step)
        copy_row(to, from, element_size);
  }
}

/* The last dimension. */
static void copy_elements(const tosaic_copy *p, const char *input, char *output) {
  const ptrdiff_t from_step = p->input_stride[p->rank - 1], to_step = p->output_stride[p->rank - 1];
  size_t count = p->size[p->rank - 1];
#ifdef COPY_SOME
  if (count >= 8) {
    const size_t done = COPY_SOME(output, to_step, input, from_step, count, p->element_size);
    input += (ptrdiff_t)done * from_step;
    output += (ptrdiff_t)done * to_step;
    count -= done;
  }
#endif
  copy_each(output, to_step, input, from_step, count, p->element_size);
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

/* The bytes that an array covers: how far they begin ahead of its first element and end behind it.
 */
static size_t reach_of(const tosaic_copy *p, const ptrdiff_t *stride, size_t *ahead) {
  size_t behind = p->element_size;
  *ahead = 0;
  for (int32_t d = 0; d < p->rank; d++) {
    if (p->size[d] == 0) continue;
    const ptrdiff_t reach = (ptrdiff_t)(p->size[d] - 1) * stride[d];
    if (reach < 0) {
      *ahead += (size_t)-reach;
    } else {
      behind += (size_t)reach;
    }
  }
  return behind;
}

static bool is_disjoint(const tosaic_copy *p, const char *input, const char *output) {
  size_t input_ahead, output_ahead;
  const size_t input_behind = reach_of(p, p->input_stride, &input_ahead);
  const size_t output_behind = reach_of(p, p->output_stride, &output_ahead);
  const uintptr_t from = (uintptr_t)input, to = (uintptr_t)output;
  return from + input_behind <= to - output_ahead || to + output_behind <= from - input_ahead;
}

#ifdef COPY_PLANE
/* Dimensions ahead of the last two. */
static void copy_planes(const tosaic_copy *p, int32_t dimension, const char *input, char *output) {
  if (dimension == p->rank - 2) {
    COPY_PLANE(p, input, output);
    return;
  }
  for (size_t k = 0; k < p->size[dimension]; k++)
    copy_planes(p, dimension + 1, input + (ptrdiff_t)k * p->input_stride[dimension],
                output + (ptrdiff_t)k * p->output_stride[dimension]);
}
#endif

void tosaic_copy_strided(const tosaic_copy *copy, const void *input, void *output) {
  const int32_t last = copy->rank - 1;
  const ptrdiff_t element = (ptrdiff_t)copy->element_size;
  const bool rows = copy->input_stride[last] == element && copy->output_stride[last] == element;
  const size_t row = rows ? copy->size[last] * copy->element_size : 0;
  const char *const from = (const char *)input;
  char *const to = (char *)output;
#ifdef COPY_PLANE
  if (last && HAS_PLANES(copy) && is_disjoint(copy, from, to)) {
    copy_planes(copy, 0, from, to);
    return;
  }
#endif
  if (last && !rows && copy->size[last] < copy->size[last - 1] && is_disjoint(copy, from, to)) {
    tosaic_copy swapped = *copy; /* the longer dimension is the inner loop */
    swapped.size[last] = copy->size[last - 1];
    swapped.size[last - 1] = copy->size[last];
    swapped.input_stride[last] = copy->input_stride[last - 1];
    swapped.input_stride[last - 1] = copy->input_stride[last];
    swapped.output_stride[last] = copy->output_stride[last - 1];
    swapped.output_stride[last - 1] = copy->output_stride[last];
    copy_dimension(&swapped, 0, last - 1, 0, from, to);
  } else if (last) {
    copy_dimension(copy, 0, last - 1, row, from, to);
  } else if (rows) {
    copy_row(to, from, row);
  } else {
    copy_elements(copy, from, to);
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
