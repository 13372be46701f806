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

#endif
