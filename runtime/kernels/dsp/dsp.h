/* Instructions of the DSP extension that have no intrinsic, and words of bytes. */
#ifndef TOSAIC_DSP_DSP_H
#define TOSAIC_DSP_DSP_H

#include <arm_acle.h>
#include <string.h>

#include "tosaic/kernels.h"

/* Bytes 0 and 2, or 1 and 3, as signed halves. The intrinsics have no rotation. */
static inline uint32_t even_bytes(uint32_t word) {
  uint32_t halves;
  __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(word));
  return halves;
}
static inline uint32_t odd_bytes(uint32_t word) {
  uint32_t halves;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(word));
  return halves;
}

/* The same, added to two halves. */
static inline uint32_t add_even_bytes(uint32_t to, uint32_t word) {
  uint32_t halves;
  __asm__("sxtab16 %0, %1, %2" : "=r"(halves) : "r"(to), "r"(word));
  return halves;
}
static inline uint32_t add_odd_bytes(uint32_t to, uint32_t word) {
  uint32_t halves;
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(halves) : "r"(to), "r"(word));
  return halves;
}

/* The lower halves of two words, and the upper ones, that of `a` below. */
static inline uint32_t lower_halves(uint32_t a, uint32_t b) {
  uint32_t halves;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(halves) : "r"(a), "r"(b));
  return halves;
}
static inline uint32_t upper_halves(uint32_t a, uint32_t b) {
  uint32_t halves;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(halves) : "r"(b), "r"(a));
  return halves;
}

static inline uint32_t twice(int32_t half) { return ((uint32_t)half & 0xffffU) * 0x10001U; }

/* Four bytes, aligned or not; two halves; and the first `count` of four bytes. */
static inline uint32_t load_word(const int8_t *data) {
  uint32_t word;
  memcpy(&word, data, sizeof(word));
  return word;
}
static inline uint32_t load_pair(const int16_t *data) {
  uint32_t word;
  memcpy(&word, data, sizeof(word));
  return word;
}
static inline uint32_t load_bytes(const int8_t *data, size_t count) {
  uint32_t word = 0;
  for (size_t k = 0; k < count; k++) word |= (uint32_t)(uint8_t)data[k] << 8 * k;
  return word;
}

/* SSUB8 notes for each byte whether the difference is negative, SSUB16 for each half, and SEL
 * chooses by that.
 */
static inline uint32_t larger_bytes(uint32_t a, uint32_t b) {
  __ssub8(a, b);
  return __sel(a, b);
}
static inline uint32_t smaller_bytes(uint32_t a, uint32_t b) {
  __ssub8(a, b);
  return __sel(b, a);
}
static inline uint32_t larger_halves(uint32_t a, uint32_t b) {
  __ssub16(a, b);
  return __sel(a, b);
}
static inline uint32_t smaller_halves(uint32_t a, uint32_t b) {
  __ssub16(a, b);
  return __sel(b, a);
}

#endif
