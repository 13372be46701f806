#include <string.h>

#include "../arithmetic.h"
#include "../copy_bytes.h"

bool tosaic_gather(const tosaic_indexing *p, const void *values, const int32_t *indices,
                   void *output) {
  const char *from = (const char *)values;
  char *to = (char *)output;
  for (size_t n = 0; n < p->batches; n++, from += p->indexed * p->row_size)
    for (size_t k = 0; k < p->count; k++, to += p->row_size) {
      const int32_t index = indices[n * p->count + k];
      if (index < 0 || (size_t)index >= p->indexed) return false;
      copy_bytes(to, from + (size_t)index * p->row_size, p->row_size);
    }
  return true;
}

bool tosaic_scatter(const tosaic_indexing *p, const void *values_in, const int32_t *indices,
                    const void *input, void *output) {
  const char *from = (const char *)input;
  char *to = (char *)output;
  copy_bytes(output, values_in, p->batches * p->indexed * p->row_size);
  for (size_t n = 0; n < p->batches; n++, to += p->indexed * p->row_size)
    for (size_t k = 0; k < p->count; k++, from += p->row_size) {
      const int32_t index = indices[n * p->count + k];
      if (index < 0 || (size_t)index >= p->indexed) return false;
      /* Quadratic, but without memory; a batch rarely has more than some hundred indices. */
      for (size_t before = 0; before < k; before++)
        if (indices[n * p->count + before] == index) return false;
      copy_bytes(to + (size_t)index * p->row_size, from, p->row_size);
    }
  return true;
}
