/* RESCALE in portable C, for sets that compute some types faster; included once in each. */
#ifndef TOSAIC_KERNELS_RESCALE_PORTABLE_H
#define TOSAIC_KERNELS_RESCALE_PORTABLE_H

#include "reference/rescale.h"

static __attribute__((noinline, cold)) void one_by_one(tosaic_elements elements,
                                                       const tosaic_rescale *rescale, size_t rows,
                                                       size_t channels, const void *input,
                                                       void *output) {
  rescale_each(elements, rescale, rows, channels, input, output);
}

#define ONE_BY_ONE(NAME, TYPE, ELEMENTS)                                                  \
  void tosaic_rescale_##NAME(const tosaic_rescale *rescale, size_t rows, size_t channels, \
                             const TYPE *input, void *output) {                           \
    one_by_one(ELEMENTS, rescale, rows, channels, input, output);                         \
  }
ONE_BY_ONE(u8, uint8_t, OF_U8)
ONE_BY_ONE(u16, uint16_t, OF_U16)
ONE_BY_ONE(i48, uint8_t, OF_I48)

#endif
