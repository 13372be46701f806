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

/* Elements of all types: what the other sets have one slow path for. */
typedef enum tosaic_elements { OF_I8, OF_U8, OF_I16, OF_U16, OF_I32, OF_I48 } tosaic_elements;

static inline int64_t element_of(tosaic_elements elements, const void *data, size_t index) {
  switch (elements) {
    case OF_I8:
      return ((const int8_t *)data)[index];
    case OF_U8:
      return ((const uint8_t *)data)[index];
    case OF_I16:
      return ((const int16_t *)data)[index];
    case OF_U16:
      return ((const uint16_t *)data)[index];
    case OF_I32:
      return ((const int32_t *)data)[index];
    default:
      return tosaic_load_i48((const uint8_t *)data, index);
  }
}

static inline void rescale_each(tosaic_elements elements, const tosaic_rescale *rescale,
                                size_t rows, size_t channels, const void *input, void *output) {
  size_t index = 0;
  for (size_t row = 0; row < rows; row++)
    for (size_t c = 0; c < channels; c++, index++)
      tosaic_store_rescaled(rescale, element_of(elements, input, index), c, output, index);
}

#endif
