/* The loop of RESCALE, instantiated by source files per type. */
#ifndef TOSAIC_REFERENCE_RESCALE_H
#define TOSAIC_REFERENCE_RESCALE_H

#include "../arithmetic.h"

#define RESCALE(NAME, TYPE, LOAD)                                                         \
  void tosaic_rescale_##NAME(const tosaic_rescale *rescale, size_t rows, size_t channels, \
                             const TYPE *input, void *output) {                           \
    size_t index = 0;                                                                     \
    for (size_t row = 0; row < rows; row++)                                               \
      for (size_t c = 0; c < channels; c++, index++)                                      \
        tosaic_store_rescaled(rescale, LOAD(input, index), c, output, index);             \
  }

#define ELEMENT(data, index) (data)[index]

/* Any of the signed types: the slow path of the other sets, one for all. */
static inline void rescale_portable(tosaic_type type, const tosaic_rescale *rescale, size_t rows,
                                    size_t channels, const void *input, void *output) {
  size_t index = 0;
  for (size_t row = 0; row < rows; row++)
    for (size_t c = 0; c < channels; c++, index++) {
      const int32_t value = type == TOSAIC_INT8    ? ((const int8_t *)input)[index]
                            : type == TOSAIC_INT16 ? ((const int16_t *)input)[index]
                                                   : ((const int32_t *)input)[index];
      tosaic_store_rescaled(rescale, value, c, output, index);
    }
}

#endif
