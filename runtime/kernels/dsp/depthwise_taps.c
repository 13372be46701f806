/* Taps of a DEPTHWISE_CONV2D of int16: four neighbouring channels at a time, two words of inputs
 * and one of weights.
 */
#include "../matrix/depthwise_taps.h"

#include "dsp.h"

static inline void sum_four(const tosaic_taps_i16 *t, const int16_t *x, const int8_t *weight,
                            int32_t sums[4]) {
  int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  const ptrdiff_t x_step = t->x_step, weight_step = t->weight_step;
  for (int32_t rows = t->rows; rows > 0; rows--, x += t->x_line, weight += t->weight_line)
    for (int32_t columns = t->columns; columns > 0; columns--) {
      const int32_t low = (int32_t)load_pair(x), high = (int32_t)load_pair(x + 2);
      const uint32_t word = load_word(weight);
      const int32_t even = (int32_t)even_bytes(word), odd = (int32_t)odd_bytes(word);
      s0 = __smlabb(low, even, s0);
      s1 = __smlatb(low, odd, s1);
      s2 = __smlabt(high, even, s2);
      s3 = __smlatt(high, odd, s3);
      x += x_step;
      weight += weight_step;
    }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

static inline int32_t sum_one(const tosaic_taps_i16 *t, const int16_t *x, const int8_t *weight) {
  int32_t sum = 0;
  for (int32_t rows = t->rows; rows > 0; rows--, x += t->x_line, weight += t->weight_line)
    for (int32_t columns = t->columns; columns > 0; columns--) {
      sum += *x * *weight;
      x += t->x_step;
      weight += t->weight_step;
    }
  return sum;
}

void tosaic_sum_taps_i16(const tosaic_taps_i16 *t, size_t channel, size_t count,
                         int32_t sums[TOSAIC_TAPS_CHANNELS]) {
  const int16_t *x = t->x + channel;
  const int8_t *weight = t->weight + channel;
  size_t k = 0;
  for (; k + 4 <= count; k += 4) sum_four(t, x + k, weight + k, sums + k);
  for (; k < count; k++) sums[k] += sum_one(t, x + k, weight + k);
}
