/* Weights of int4 as int8. */
#ifndef TOSAIC_MATRIX_UNPACK_I4_H
#define TOSAIC_MATRIX_UNPACK_I4_H

#include "../arithmetic.h"

/* `count` elements from number `first` on, which is even. */
static inline void unpack_i4(const void *weight, size_t first, size_t count, int8_t *to) {
  const int8_t *from = (const int8_t *)weight + first / 2;
  for (; count >= 2; count -= 2, from++, to += 2) {
    const int32_t pair = *from;
    to[0] = (int8_t)((int32_t)((uint32_t)pair << 28) >> 28);
    to[1] = (int8_t)(pair >> 4);
  }
  if (count) *to = (int8_t)tosaic_load_i4((const uint8_t *)from, 0);
}

#endif
