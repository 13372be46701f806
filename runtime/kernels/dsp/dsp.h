/* Instructions of the DSP extension that have no intrinsic, and the output stage of its kernels. */
#ifndef TOSAIC_DSP_DSP_H
#define TOSAIC_DSP_DSP_H

#include <arm_acle.h>
#include <string.h>

#include "../arithmetic.h"
#include "scratch.h"

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

static inline uint32_t twice(int32_t half) {
  return ((uint32_t)half & 0xffffU) * 0x10001U;
}

/* Four bytes, aligned or not; and the first `count` of them. */
static inline uint32_t load_word(const int8_t *data) {
  uint32_t word;
  memcpy(&word, data, sizeof(word));
  return word;
}
static inline uint32_t load_bytes(const int8_t *data, size_t count) {
  uint32_t word = 0;
  for (size_t k = 0; k < count; k++) word |= (uint32_t)(uint8_t)data[k] << 8 * k;
  return word;
}

/* What becomes of sums: the usual rescales to int8 take 32-bit arithmetic (see ../mve/output.h),
 * the others that of the reference kernels.
 */
typedef enum stage { GENERAL, SINGLE_ROUND, DOUBLE_ROUND } stage;

typedef struct tosaic_output {
  const tosaic_rescale *rescale;
  stage stage;
  size_t step; /* between multipliers of channels: 0 or 1 */
  uint32_t min, max; /* four bytes each */
  void *data;
} tosaic_output;

static inline tosaic_output output_of(const tosaic_rescale *rescale, size_t channels,
                                      void *data) {
  tosaic_output output = {.rescale = rescale, .data = data};
  if (!rescale || !rescale->multiplier32 || rescale->output_type != TOSAIC_INT8) return output;
  if (rescale->output_zp < INT8_MIN || rescale->output_zp > INT8_MAX) return output;
  output.step = rescale->per_channel ? 1 : 0;
  const size_t count = rescale->per_channel ? channels : 1;
  for (size_t c = 0; c < count; c++)
    if (rescale->shift[c] < 33 || rescale->shift[c] > 62 || rescale->multiplier32[c] < 0)
      return output;
  output.min = ((uint32_t)rescale->min & 0xffU) * 0x1010101U;
  output.max = ((uint32_t)rescale->max & 0xffU) * 0x1010101U;
  output.stage = rescale->double_round ? DOUBLE_ROUND : SINGLE_ROUND;
  return output;
}

/* Twice the rescaled value: what is left is to add 1 and halve. */
static inline int32_t doubled_single(int32_t sum, int32_t multiplier, int32_t shift) {
  return (int32_t)(((int64_t)sum * multiplier) >> 32) >> (shift - 33);
}
static inline int32_t doubled_double(int32_t sum, int32_t multiplier, int32_t shift) {
  const int64_t product = (int64_t)sum * multiplier + (1 << 30);
  return ((int32_t)(product >> 31) + (sum >> 31)) >> (shift - 32);
}

/* Four values, of bytes already, one in each byte. */
static inline uint32_t packed(const int32_t values[4]) {
  const uint32_t even = ((uint32_t)values[0] & 0xffffU) | (uint32_t)values[2] << 16;
  const uint32_t odd = ((uint32_t)values[1] & 0xffffU) | (uint32_t)values[3] << 16;
  return __uxtb16(even) | __uxtb16(odd) << 8;
}

/* SSUB8 notes for each byte whether the difference is negative, and SEL chooses by that. */
static inline uint32_t larger_bytes(uint32_t a, uint32_t b) {
  __ssub8(a, b);
  return __sel(a, b);
}
static inline uint32_t smaller_bytes(uint32_t a, uint32_t b) {
  __ssub8(a, b);
  return __sel(b, a);
}

/* Store `count` sums, 1 to 4, of channels from `channel` on. */
static inline void store(const tosaic_output *output, const int32_t sums[4], size_t channel,
                         size_t index, size_t count) {
  const tosaic_rescale *rescale = output->rescale;
  if (output->stage == GENERAL) {
    for (size_t k = 0; k < count; k++)
      tosaic_store_i32_sum(rescale, sums[k], channel + k, output->data, index + k);
    return;
  }
  const size_t step = output->step;
  const int32_t *multiplier = rescale->multiplier32 + channel * step;
  const int8_t *shift = rescale->shift + channel * step;
  const int32_t up = 1 + 2 * rescale->output_zp;
  int32_t values[4] = {0};
  if (output->stage == DOUBLE_ROUND) {
    for (size_t k = 0; k < count; k++)
      values[k] = doubled_double(sums[k], multiplier[k * step], shift[k * step]);
  } else if (count == 4) {
    for (size_t k = 0; k < 4; k++)
      values[k] = doubled_single(sums[k], multiplier[k * step], shift[k * step]);
  } else {
    for (size_t k = 0; k < count; k++)
      values[k] = doubled_single(sums[k], multiplier[k * step], shift[k * step]);
  }
  for (size_t k = 0; k < 4; k++) values[k] = __ssat((values[k] + up) >> 1, 8);
  const uint32_t bytes = smaller_bytes(larger_bytes(packed(values), output->min), output->max);
  int8_t *to = (int8_t *)output->data + index;
  if (count == 4) {
    memcpy(to, &bytes, 4);
  } else {
    for (size_t k = 0; k < count; k++) to[k] = (int8_t)(bytes >> 8 * k);
  }
}

#endif
