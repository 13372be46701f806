/* Weights of int4 as int8, by words. */
#include "../matrix/unpack_i4.h"

#include "../arithmetic.h"
#include "dsp.h"

/* Two bytes, each in a half, as four signed ones: the low nibble of a byte first. */
static inline uint32_t unpacked(uint32_t halves) {
  const uint32_t nibbles = (halves | halves << 4) & 0x0f0f0f0fU;
  return __ssub8(nibbles ^ 0x08080808U, 0x08080808U);
}

void tosaic_unpack_i4(const void *weight, size_t first, size_t count, int8_t *to) {
  const int8_t *from = (const int8_t *)weight + first / 2;
  for (; count >= 8; count -= 8, from += 4, to += 8) {
    const uint32_t word = load_word(from);
    const uint32_t even = unpacked(word & 0x00ff00ffU);
    const uint32_t odd = unpacked(word >> 8 & 0x00ff00ffU);
    const uint32_t low = (even & 0xffffU) | odd << 16, high = (odd & 0xffff0000U) | even >> 16;
    memcpy(to, &low, 4);
    memcpy(to + 4, &high, 4);
  }
  for (size_t k = 0; k < count; k++) to[k] = (int8_t)tosaic_load_i4((const uint8_t *)from, k);
}
