/* Arithmetic that kernels of every set share: packed elements, and RESCALE of one value. */
#ifndef TOSAIC_KERNELS_ARITHMETIC_H
#define TOSAIC_KERNELS_ARITHMETIC_H

#include "tosaic/kernels.h"

static inline int32_t tosaic_min(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t tosaic_max(int32_t a, int32_t b) { return a > b ? a : b; }

static inline int32_t tosaic_clamped(int64_t value, int32_t low, int32_t high) {
  return value < low ? low : value > high ? high : (int32_t)value;
}

/* Wrapping arithmetic: signed overflow would be undefined in C. */
static inline int32_t tosaic_wrap_add(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a + (uint32_t)b);
}
static inline int32_t tosaic_wrap_sub(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a - (uint32_t)b);
}
static inline int32_t tosaic_wrap_mul(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a * (uint32_t)b);
}

static inline int32_t tosaic_load_i4(const uint8_t *data, size_t index) {
  const int32_t nibble = (data[index / 2] >> (index % 2 * 4)) & 15;
  return (nibble ^ 8) - 8;
}

/* Byte by byte, which compilers make words of. */
static inline int64_t tosaic_load_i48(const uint8_t *data, size_t index) {
  const uint8_t *b = data + 6 * index;
  const uint32_t low = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
  const int16_t high = (int16_t)(b[4] | b[5] << 8);
  return (int64_t)((uint64_t)(int64_t)high << 32 | low);
}

static inline void tosaic_store_i48(uint8_t *data, size_t index, int64_t value) {
  uint8_t *b = data + 6 * index;
  const uint32_t low = (uint32_t)value, high = (uint32_t)((uint64_t)value >> 32);
  b[0] = (uint8_t)low;
  b[1] = (uint8_t)(low >> 8);
  b[2] = (uint8_t)(low >> 16);
  b[3] = (uint8_t)(low >> 24);
  b[4] = (uint8_t)high;
  b[5] = (uint8_t)(high >> 8);
}

/* apply_scale_32 and apply_scale_16, with zero points and clamp. A shift out of range, which only
 * a malformed model has, gives some value and no undefined behaviour.
 */
static inline int32_t tosaic_rescaled(const tosaic_rescale *rescale, int64_t value,
                                      size_t channel) {
  const size_t index = rescale->per_channel ? channel : 0;
  const int64_t multiplier =
      rescale->multiplier32 ? rescale->multiplier32[index] : rescale->multiplier16[index];
  const uint32_t shift = (uint32_t)rescale->shift[index] & 63;
  const int64_t x = value - rescale->input_zp;
  uint64_t round = (UINT64_C(1) << shift) >> 1;
  if (rescale->double_round && shift > 31) {
    round += x >= 0 ? UINT64_C(1) << 30 : 0 - (UINT64_C(1) << 30);
  }
  const int64_t scaled = (int64_t)((uint64_t)x * (uint64_t)multiplier + round) >> shift;
  const int64_t result = (int64_t)((uint64_t)scaled + (uint64_t)(int64_t)rescale->output_zp);
  return tosaic_clamped(result, rescale->min, rescale->max);
}

static inline void tosaic_store_rescaled(const tosaic_rescale *rescale, int64_t value,
                                         size_t channel, void *output, size_t index) {
  const int32_t result = tosaic_rescaled(rescale, value, channel);
  switch (rescale->output_type) {
    case TOSAIC_INT8:
      ((int8_t *)output)[index] = (int8_t)result;
      break;
    case TOSAIC_INT16:
      ((int16_t *)output)[index] = (int16_t)result;
      break;
    default:
      ((int32_t *)output)[index] = result;
  }
}

/* An accumulator of int32 or int48: kept as it is, or rescaled. */
static inline void tosaic_store_i32_sum(const tosaic_rescale *rescale, int32_t sum, size_t channel,
                                        void *output, size_t index) {
  if (rescale) {
    tosaic_store_rescaled(rescale, sum, channel, output, index);
  } else {
    ((int32_t *)output)[index] = sum;
  }
}

static inline void tosaic_store_i48_sum(const tosaic_rescale *rescale, int64_t sum, size_t channel,
                                        void *output, size_t index) {
  if (rescale) {
    tosaic_store_rescaled(rescale, sum, channel, output, index);
  } else {
    tosaic_store_i48((uint8_t *)output, index, sum);
  }
}

#endif
