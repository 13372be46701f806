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
  output.stage = rescale->double_round ? DOUBLE_ROUND : SINGLE_ROUND;
  return output;
}

static inline void store(const tosaic_output *output, int32_t sum, size_t channel, size_t index) {
  const tosaic_rescale *rescale = output->rescale;
  if (output->stage == GENERAL) {
    tosaic_store_i32_sum(rescale, sum, channel, output->data, index);
    return;
  }
  const size_t c = channel * output->step;
  const int64_t product = (int64_t)sum * rescale->multiplier32[c];
  const int32_t shift = rescale->shift[c];
  int32_t value = output->stage == SINGLE_ROUND
                      ? (int32_t)(product >> 32) >> (shift - 33)
                      : ((int32_t)((product + (1 << 30)) >> 31) + (sum >> 31)) >> (shift - 32);
  /* Half up, and the zero point. */
  value = (value + 1 + 2 * rescale->output_zp) >> 1;
  value = tosaic_max(value, rescale->min);
  ((int8_t *)output->data)[index] = (int8_t)tosaic_min(value, rescale->max);
}

#endif
