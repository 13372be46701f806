/* Products with int48 accumulators by words: SMLAD in 32 bits as far as products of int16 and int8
 * fit them, SMLALD in 64 bits for int16 and int16.
 */
#include "../matrix/wide.h"

#include "dsp.h"
#include "matrix.h"

/* Products of a window and a filter that always fit 32 bits together. */
enum { FITTING = 508 };

/* Lay a window of `count` elements out in the order 0 2 1 3, four in every `step` words; the last
 * ones with zeros.
 */
static inline void permute(uint32_t *to, size_t step, const int16_t *from, size_t count) {
  for (; count >= 4; count -= 4, from += 4, to += step) {
    const uint32_t first = load_pair(from), second = load_pair(from + 2);
    to[0] = (first & 0xffffU) | second << 16;
    to[1] = (second & 0xffff0000U) | first >> 16;
  }
  if (count == 0) return;
  to[0] = (uint32_t)(uint16_t)from[0] | (count > 2 ? (uint32_t)from[2] << 16 : 0);
  to[1] = count > 1 ? (uint16_t)from[1] : 0;
}

static inline void load_biases(const tosaic_wide *m, size_t channel, size_t left, int64_t sums[4]) {
  for (size_t k = 0; k < 4; k++)
    sums[k] = tosaic_load_i48(m->bias, (channel + filter_behind(k, left, 1)) * m->bias_step);
}

static void multiply_two(const tosaic_wide *m, const uint32_t *x, size_t element) {
  const size_t window = m->window;
  for (size_t c = 0; c < m->all; c += 4) {
    const size_t left = m->all - c;
    int64_t first[4], second[4];
    load_biases(m, c, left, first);
    memcpy(second, first, sizeof(second));
    for (size_t k = 0; k < 4 && k < left; k += 2) {
      const int8_t *w0 = m->weight + (c + k) * window;
      const int8_t *w1 = m->weight + (c + filter_behind(k + 1, left, 1)) * window;
      for (size_t at = 0; at < window; at += FITTING) {
        const tosaic_filters filters = {window - at < FITTING ? window - at : FITTING,
                                        m->weight + m->all * window};
        int32_t a[2] = {0, 0}, b[2] = {0, 0};
        tosaic_multiply_two(&filters, x + at / 4 * TOSAIC_WORDS_OF_TWO, w0 + at, w1 + at, a, b);
        first[k] += a[0];
        first[k + 1] += a[1];
        second[k] += b[0];
        second[k + 1] += b[1];
      }
    }
    const size_t count = left < 4 ? left : 4;
    tosaic_store_wide(&m->output, first, c, count, element * m->all + c);
    tosaic_store_wide(&m->output, second, c, count, (element + 1) * m->all + c);
  }
}

static void multiply_one(const tosaic_wide *m, const uint32_t *x, size_t element) {
  const size_t window = m->window;
  for (size_t c = 0; c < m->all; c += 4) {
    const size_t left = m->all - c;
    int64_t sums[4];
    load_biases(m, c, left, sums);
    for (size_t at = 0; at < window; at += FITTING) {
      const tosaic_filters filters = {window - at < FITTING ? window - at : FITTING,
                                      m->weight + m->all * window};
      const int8_t *four[4];
      int32_t part[4] = {0, 0, 0, 0};
      for (size_t k = 0; k < 4; k++)
        four[k] = m->weight + c * window + filter_behind(k, left, window) + at;
      tosaic_multiply_one(&filters, x + at / 4 * TOSAIC_WORDS_OF_ONE, four, part);
      for (size_t k = 0; k < 4; k++) sums[k] += part[k];
    }
    tosaic_store_wide(&m->output, sums, c, left < 4 ? left : 4, element * m->all + c);
  }
}

void tosaic_multiply_wide(const tosaic_wide *m, const void *windows, size_t step, size_t count,
                          size_t element) {
  const char *from = (const char *)windows;
  uint32_t *const wide = (uint32_t *)m->scratch;
  for (; count >= 2; count -= 2, element += 2, from += 2 * step) {
    permute(wide, TOSAIC_WORDS_OF_TWO, (const int16_t *)from, m->window);
    permute(wide + TOSAIC_WORDS_OF_ONE, TOSAIC_WORDS_OF_TWO, (const int16_t *)(from + step),
            m->window);
    multiply_two(m, wide, element);
  }
  if (count) {
    permute(wide, TOSAIC_WORDS_OF_ONE, (const int16_t *)from, m->window);
    multiply_one(m, wide, element);
  }
}

static inline void products_of_two(const int16_t *x, const int16_t *w0, const int16_t *w1,
                                   size_t window, int64_t sums[2]) {
  int64_t s0 = 0, s1 = 0;
  const int16_t *const end = x + (window & ~(size_t)3);
  for (; x != end; x += 4, w0 += 4, w1 += 4) {
    const uint32_t a = load_pair(x), b = load_pair(x + 2);
    s0 = __smlald((int32_t)a, (int32_t)load_pair(w0), s0);
    s1 = __smlald((int32_t)a, (int32_t)load_pair(w1), s1);
    s0 = __smlald((int32_t)b, (int32_t)load_pair(w0 + 2), s0);
    s1 = __smlald((int32_t)b, (int32_t)load_pair(w1 + 2), s1);
  }
  for (size_t k = 0; k < window % 4; k++) {
    s0 += x[k] * w0[k];
    s1 += x[k] * w1[k];
  }
  sums[0] = s0;
  sums[1] = s1;
}

void tosaic_products_i16(const int16_t *x, const int16_t *const four[4], size_t window,
                         int64_t sums[4]) {
  products_of_two(x, four[0], four[1], window, sums);
  products_of_two(x, four[2], four[3], window, sums + 2);
}

/* A usual rescale of a sum that fits 32 bits. */
static inline int16_t narrow_result(const tosaic_rescale *r, int32_t sum, int32_t multiplier,
                                    int32_t shift) {
  const int32_t high = (int32_t)(((int64_t)sum * (multiplier * 65536)) >> 32);
  const int32_t result = (((high >> (shift - 17)) + 1) >> 1) + r->output_zp;
  return (int16_t)tosaic_min(tosaic_max(result, r->min), r->max);
}

void tosaic_store_narrow(const tosaic_wide_output *output, const int32_t *sums, size_t channel,
                         size_t count, size_t index) {
  const tosaic_rescale r = *output->rescale;
  const size_t step = r.per_channel ? 1 : 0;
  const int16_t *multiplier = r.multiplier16 + channel * step;
  const int8_t *shift = r.shift + channel * step;
  int16_t *to = (int16_t *)output->data + index;
  for (size_t k = 0; k < count; k++, multiplier += step, shift += step)
    to[k] = narrow_result(&r, sums[k], *multiplier, *shift);
}

void tosaic_store_wide(const tosaic_wide_output *output, const int64_t sums[4], size_t channel,
                       size_t count, size_t index) {
  const tosaic_rescale *r = output->rescale;
  if (!output->usual) {
    for (size_t k = 0; k < count; k++)
      tosaic_store_i48_sum(r, sums[k], channel + k, output->data, index + k);
    return;
  }
  const size_t step = r->per_channel ? 1 : 0;
  const int16_t *multiplier = r->multiplier16 + channel * step;
  const int8_t *shift = r->shift + channel * step;
  int16_t *to = (int16_t *)output->data + index;
  for (size_t k = 0; k < count; k++, multiplier += step, shift += step) {
    const int32_t sum = (int32_t)sums[k];
    if (sum == sums[k]) {
      to[k] = narrow_result(r, sum, *multiplier, *shift);
    } else {
      const int64_t round = INT64_C(1) << (*shift - 1);
      to[k] = (int16_t)wide_result(r, (sums[k] * *multiplier + round) >> *shift);
    }
  }
}
