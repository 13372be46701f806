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

RESCALE(i8, int8_t, ELEMENT)
RESCALE(u8, uint8_t, ELEMENT)
RESCALE(i16, int16_t, ELEMENT)
RESCALE(u16, uint16_t, ELEMENT)
RESCALE(i32, int32_t, ELEMENT)
RESCALE(i48, uint8_t, tosaic_load_i48)
