#include "../arithmetic.h"

#define MATMUL(TYPE, SUM, NAME, STORE, SIGNED)                                            \
  void tosaic_matmul_##NAME(const tosaic_matmul *p, const TYPE *a, const TYPE *b,         \
                            const tosaic_rescale *rescale, void *output, void *scratch) { \
    const size_t height = (size_t)p->height, width = (size_t)p->width;                    \
    const size_t channels = (size_t)p->channels;                                          \
    size_t index = 0;                                                                     \
    (void)scratch;                                                                        \
    for (size_t n = 0; n < (size_t)p->batches; n++)                                       \
      for (size_t h = 0; h < height; h++)                                                 \
        for (size_t w = 0; w < width; w++, index++) {                                     \
          SUM sum = 0;                                                                    \
          for (size_t c = 0; c < channels; c++)                                           \
            sum += (SUM)(a[(n * height + h) * channels + c] - p->a_zp) *                  \
                   (SUM)(b[(n * channels + c) * width + w] - p->b_zp);                    \
          STORE(rescale, (SIGNED)sum, w, output, index);                                  \
        }                                                                                 \
  }

MATMUL(int8_t, uint32_t, i8, tosaic_store_i32_sum, int32_t)
MATMUL(int16_t, uint64_t, i16, tosaic_store_i48_sum, int64_t)
