/* AVG_POOL2D and MAX_POOL2D, of four neighbouring channels at once. */
#include "../reference/pooling.h"

#include "dsp.h"

/* The first `count` bytes of a word to `to`. */
static inline void store_bytes(int8_t *to, uint32_t word, int32_t count) {
  if (count >= 4) {
    memcpy(to, &word, sizeof(word));
  } else {
    for (; count > 0; count--, word >>= 8) *to++ = (int8_t)word;
  }
}

/* At most four channels: bytes beyond them are read where they are, not beyond the tensor. */
static inline uint32_t load_some(const int8_t *x, int32_t count) {
  return count >= 4 ? load_word(x) : load_bytes(x, (size_t)count);
}

static inline uint32_t largest_four(const tosaic_pool *p, window w, const int8_t *x,
                                    int32_t count) {
  const size_t line = (size_t)p->input_width * (size_t)p->channels;
  uint32_t largest = 0x80808080U;
  for (int32_t y = w.first_y; y < w.end_y; y++, x += line) {
    const int8_t *at = x;
    for (int32_t k = w.first_x; k < w.end_x; k++, at += p->channels)
      largest = larger_bytes(largest, load_some(at, count));
  }
  return largest;
}

/* Halves hold the sums of 256 values at least: they go into words before that. */
static inline uint32_t average_four(const tosaic_pool *p, window w, reciprocal share,
                                    const int8_t *x, int32_t count) {
  const size_t line = (size_t)p->input_width * (size_t)p->channels;
  const int32_t start = tosaic_wrap_mul(count_of(w), -p->input_zp);
  int32_t s0 = start, s1 = start, s2 = start, s3 = start;
  for (int32_t y = w.first_y; y < w.end_y; y++, x += line) {
    const int8_t *at = x;
    for (int32_t left = w.end_x - w.first_x; left > 0;) {
      uint32_t even = 0, odd = 0;
      const int32_t some = tosaic_min(left, 256);
      for (int32_t k = 0; k < some; k++, at += p->channels) {
        const uint32_t word = load_some(at, count);
        even = add_even_bytes(even, word);
        odd = add_odd_bytes(odd, word);
      }
      s0 += (int16_t)even;
      s1 += (int16_t)odd;
      s2 += (int32_t)even >> 16;
      s3 += (int32_t)odd >> 16;
      left -= some;
    }
  }
  const int32_t sums[4] = {s0, s1, s2, s3};
  uint32_t word = 0;
  for (int32_t k = 0; k < 4; k++)
    word |= ((uint32_t)average_i8(p, sums[k], share) & 0xffU) << 8 * k;
  return word;
}

/* Where a window's first element of channel 0 lies in the input. */
static inline size_t first_of(const tosaic_pool *p, window w, int32_t batch) {
  const size_t y = (size_t)(batch * p->input_height + w.first_y);
  return (y * (size_t)p->input_width + (size_t)w.first_x) * (size_t)p->channels;
}

/* Each element `at` of a window of int16 that begins at `x`. */
#define EACH_ELEMENT(p, w, x)                                                                    \
  for (int32_t row = (w).first_y; row < (w).end_y; row++, x += (p)->input_width * (p)->channels) \
    for (const int16_t *at = x, *const end = x + ((w).end_x - (w).first_x) * (p)->channels;      \
         at < end; at += (p)->channels)

static inline void largest_four_i16(const tosaic_pool *p, window w, const int16_t *x, int16_t *y) {
  uint32_t pairs[2] = {0x80008000U, 0x80008000U};
  EACH_ELEMENT(p, w, x) {
    pairs[0] = larger_halves(pairs[0], load_pair(at));
    pairs[1] = larger_halves(pairs[1], load_pair(at + 2));
  }
  memcpy(y, pairs, sizeof(pairs));
}

static inline int16_t largest_one_i16(const tosaic_pool *p, window w, const int16_t *x) {
  int32_t largest = INT16_MIN;
  EACH_ELEMENT(p, w, x) largest = tosaic_max(largest, *at);
  return (int16_t)largest;
}

static inline void average_four_i16(const tosaic_pool *p, window w, reciprocal share,
                                    const int16_t *x, int16_t *y) {
  const int32_t start = tosaic_wrap_mul(count_of(w), -p->input_zp);
  int32_t a = start, b = start, c = start, d = start;
  EACH_ELEMENT(p, w, x) {
    a = tosaic_wrap_add(a, at[0]);
    b = tosaic_wrap_add(b, at[1]);
    c = tosaic_wrap_add(c, at[2]);
    d = tosaic_wrap_add(d, at[3]);
  }
  y[0] = average_i16(p, a, share);
  y[1] = average_i16(p, b, share);
  y[2] = average_i16(p, c, share);
  y[3] = average_i16(p, d, share);
}

static inline int16_t average_one_i16(const tosaic_pool *p, window w, reciprocal share,
                                      const int16_t *x) {
  int32_t sum = tosaic_wrap_mul(count_of(w), -p->input_zp);
  EACH_ELEMENT(p, w, x) sum = tosaic_wrap_add(sum, *at);
  return average_i16(p, sum, share);
}

#define EACH_WINDOW(p)                                  \
  for (int32_t n = 0; n < (p)->batches; n++)            \
    for (int32_t oy = 0; oy < (p)->output_height; oy++) \
      for (int32_t ox = 0; ox < (p)->output_width; ox++, output += (p)->channels)

void tosaic_avg_pool2d_i8(const tosaic_pool *p, const int8_t *input, int8_t *output) {
  EACH_WINDOW(p) {
    const window w = window_of(p, oy, ox);
    const reciprocal share = reciprocal_of(count_of(w));
    const int8_t *x = input + first_of(p, w, n);
    for (int32_t c = 0; c < p->channels; c += 4)
      store_bytes(output + c, average_four(p, w, share, x + c, p->channels - c), p->channels - c);
  }
}

void tosaic_max_pool2d_i8(const tosaic_pool *p, const int8_t *input, int8_t *output) {
  EACH_WINDOW(p) {
    const window w = window_of(p, oy, ox);
    const int8_t *x = input + first_of(p, w, n);
    for (int32_t c = 0; c < p->channels; c += 4)
      store_bytes(output + c, largest_four(p, w, x + c, p->channels - c), p->channels - c);
  }
}

void tosaic_avg_pool2d_i16(const tosaic_pool *p, const int16_t *input, int16_t *output) {
  EACH_WINDOW(p) {
    const window w = window_of(p, oy, ox);
    const reciprocal share = reciprocal_of(count_of(w));
    const int16_t *x = input + first_of(p, w, n);
    int32_t c = 0;
    for (; c + 4 <= p->channels; c += 4) average_four_i16(p, w, share, x + c, output + c);
    for (; c < p->channels; c++) output[c] = average_one_i16(p, w, share, x + c);
  }
}

void tosaic_max_pool2d_i16(const tosaic_pool *p, const int16_t *input, int16_t *output) {
  EACH_WINDOW(p) {
    const window w = window_of(p, oy, ox);
    const int16_t *x = input + first_of(p, w, n);
    int32_t c = 0;
    for (; c + 4 <= p->channels; c += 4) largest_four_i16(p, w, x + c, output + c);
    for (; c < p->channels; c++) output[c] = largest_one_i16(p, w, x + c);
  }
}
