/* The output stage of the DSP kernels: sums of four channels as four bytes. */
#include "output.h"

#include "dsp.h"

tosaic_output tosaic_output_of(const tosaic_rescale *rescale, size_t channels, void *data) {
  tosaic_output output = {.rescale = rescale, .data = data};
  if (!rescale || !rescale->multiplier32 || rescale->output_type != TOSAIC_INT8) return output;
  if (rescale->output_zp < INT8_MIN || rescale->output_zp > INT8_MAX) return output;
  const size_t count = rescale->per_channel ? channels : 1;
  for (size_t c = 0; c < count; c++)
    if (rescale->shift[c] < 33 || rescale->shift[c] > 62 || rescale->multiplier32[c] < 0)
      return output;
  for (size_t k = 0; k < 4; k++) {
    output.multiplier[k] = rescale->multiplier32[0];
    output.shift[k] = rescale->shift[0];
  }
  output.min = ((uint32_t)rescale->min & 0xffU) * 0x1010101U;
  output.max = ((uint32_t)rescale->max & 0xffU) * 0x1010101U;
  output.stage = rescale->double_round ? TOSAIC_DOUBLE_ROUND : TOSAIC_SINGLE_ROUND;
  return output;
}

/* A rescaled value as int8, from twice that value: what is left is to round half up. */
static inline int32_t halved(int32_t value, int32_t zero_point) {
  return __ssat((value + (2 * zero_point + 1)) >> 1, 8);
}
static inline int32_t single_rounded(int32_t sum, int32_t multiplier, int32_t shift,
                                     int32_t zero_point) {
  const int32_t high = (int32_t)(((int64_t)sum * multiplier) >> 32);
  return halved(high >> (shift - 33), zero_point);
}
static inline int32_t double_rounded(int32_t sum, int32_t multiplier, int32_t shift,
                                     int32_t zero_point) {
  const int64_t product = (int64_t)sum * multiplier + (1 << 30);
  return halved(((int32_t)(product >> 31) + (sum >> 31)) >> (shift - 32), zero_point);
}

/* The low bytes of four values. */
static inline uint32_t packed(int32_t a, int32_t b, int32_t c, int32_t d) {
  const uint32_t even = ((uint32_t)a & 0xffffU) | (uint32_t)c << 16;
  const uint32_t odd = ((uint32_t)b & 0xffffU) | (uint32_t)d << 16;
  return __uxtb16(even) | __uxtb16(odd) << 8;
}

void tosaic_store_four(const tosaic_output *output, const int32_t sums[4], size_t channel,
                       size_t index) {
  const tosaic_rescale *rescale = output->rescale;
  if (output->stage == TOSAIC_GENERAL) {
    store_some(output, sums, channel, index, 4);
    return;
  }
  const int32_t *m = rescale->per_channel ? rescale->multiplier32 + channel : output->multiplier;
  const int8_t *s = rescale->per_channel ? rescale->shift + channel : output->shift;
  const int32_t zp = rescale->output_zp;
  uint32_t bytes;
  if (output->stage == TOSAIC_SINGLE_ROUND) {
    bytes =
        packed(single_rounded(sums[0], m[0], s[0], zp), single_rounded(sums[1], m[1], s[1], zp),
               single_rounded(sums[2], m[2], s[2], zp), single_rounded(sums[3], m[3], s[3], zp));
  } else {
    bytes =
        packed(double_rounded(sums[0], m[0], s[0], zp), double_rounded(sums[1], m[1], s[1], zp),
               double_rounded(sums[2], m[2], s[2], zp), double_rounded(sums[3], m[3], s[3], zp));
  }
  bytes = smaller_bytes(larger_bytes(bytes, output->min), output->max);
  memcpy((int8_t *)output->data + index, &bytes, 4);
}
