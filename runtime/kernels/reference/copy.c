#include <string.h>

#include "../arithmetic.h"
#include "../copy_bytes.h"

static void copy_dimension(const tosaic_copy *p, int32_t dimension, const char *input,
                           char *output) {
  const ptrdiff_t from = p->input_stride[dimension], to = p->output_stride[dimension];
  const size_t size = p->size[dimension];
  if (dimension < p->rank - 1) {
    for (size_t k = 0; k < size; k++)
      copy_dimension(p, dimension + 1, input + (ptrdiff_t)k * from, output + (ptrdiff_t)k * to);
  } else if (from == (ptrdiff_t)p->element_size && to == from) {
    copy_bytes(output, input, size * p->element_size);
  } else if (p->element_size == 1) {
    for (size_t k = 0; k < size; k++) output[(ptrdiff_t)k * to] = input[(ptrdiff_t)k * from];
  } else {
    for (size_t k = 0; k < size; k++)
      copy_bytes(output + (ptrdiff_t)k * to, input + (ptrdiff_t)k * from, p->element_size);
  }
}

void tosaic_copy_strided(const tosaic_copy *copy, const void *input, void *output) {
  copy_dimension(copy, 0, (const char *)input, (char *)output);
}

void tosaic_fill(size_t count, size_t element_size, const void *value, void *output) {
  char *to = (char *)output;
  if (element_size == 1) {
    memset(output, *(const uint8_t *)value, count);
    return;
  }
  for (size_t k = 0; k < count; k++) copy_bytes(to + k * element_size, value, element_size);
}
