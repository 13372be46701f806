/* The loops of MATMUL, instantiated by source files per type. */
#ifndef TOSAIC_REFERENCE_MATMUL_H
#define TOSAIC_REFERENCE_MATMUL_H

#include "../arithmetic.h"

/* Defines tosaic_matmul_NAME: each result is a SUM of PRODUCT(p, x, y). */
#define MATMUL(NAME, TYPE, SUM, PRODUCT, STORE)                                                    \
  void tosaic_matmul_##NAME(const tosaic_matmul *p, const TYPE *a, const TYPE *b,                  \
                            const tosaic_rescale *rescale, void *output, void *scratch) {          \
    const size_t height = (size_t)p->height, width = (size_t)p->width;                             \
    const size_t channels = (size_t)p->channels;                                                   \
    size_t index = 0;                                                                              \
    (void)rescale, (void)scratch;                                                                  \
    for (size_t n = 0; n < (size_t)p->batches; n++)                                                \
      for (size_t h = 0; h < height; h++)                                                          \
        for (size_t w = 0; w < width; w++, index++) {                                              \
          SUM sum = 0;                                                                             \
          for (size_t c = 0; c < channels; c++)                                                    \
            sum +=                                                                                 \
                PRODUCT(p, a[(n * height + h) * channels + c], b[(n * channels + c) * width + w]); \
          STORE(rescale, sum, w, output, index);                                                   \
        }                                                                                          \
  }

/* Of integers sums wrap. */
#define PRODUCT_I8(p, x, y) (uint32_t)((x) - (p)->a_zp) * (uint32_t)((y) - (p)->b_zp)
#define PRODUCT_I16(p, x, y) (uint64_t)((x) - (p)->a_zp) * (uint64_t)((y) - (p)->b_zp)
#define STORE_I32(rescale, sum, w, output, index) \
  tosaic_store_i32_sum(rescale, (int32_t)sum, w, output, index)
#define STORE_I48(rescale, sum, w, output, index) \
  tosaic_store_i48_sum(rescale, (int64_t)sum, w, output, index)

#endif
