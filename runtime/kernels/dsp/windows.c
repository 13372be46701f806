/* Windows of convolutions, gathered by words. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "scratch.h"

static inline void copy_rows(int8_t *to, size_t to_step, const int8_t *from, size_t from_step,
                             size_t bytes, int32_t rows) {
  for (; rows > 0; rows--, to += to_step, from += from_step) {
    int8_t *y = to;
    const int8_t *x = from;
    size_t left = bytes;
    for (; left >= 4; left -= 4, y += 4, x += 4) memcpy(y, x, 4);
    while (left--) *y++ = *x++;
  }
}

static inline void fill(int8_t *to, int32_t value, size_t count) {
  const uint32_t word = ((uint32_t)value & 0xffU) * 0x1010101U;
  for (; count >= 4; count -= 4, to += 4) memcpy(to, &word, 4);
  while (count--) *to++ = (int8_t)value;
}

#include "../matrix/windows_loops.h"
