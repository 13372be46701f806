/* Weights of int4 as int8, by vectors. */
#include "../matrix/unpack_i4.h"

#include <arm_mve.h>

#include "../arithmetic.h"

void tosaic_unpack_i4(const void *weight, size_t first, size_t count, int8_t *to) {
  const uint8_t *from = (const uint8_t *)weight + first / 2;
  const uint8x16_t sign = vdupq_n_u8(8);
  for (; count >= 16; count -= 16, from += 8, to += 16) {
    const uint16x8_t pairs = vldrbq_u16(from);
    const uint8x16_t nibbles = vreinterpretq_u8_u16(vandq_u16(
        vorrq_u16(pairs, vshlq_n_u16(pairs, 4)), vdupq_n_u16(0x0f0f))); /* the low one first */
    vst1q_s8(to, vreinterpretq_s8_u8(vsubq_u8(veorq_u8(nibbles, sign), sign)));
  }
  for (size_t k = 0; k < count; k++) to[k] = (int8_t)tosaic_load_i4(from, k);
}
