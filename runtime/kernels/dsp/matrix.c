/* Products of matrices of int8 by words: two windows, less the zero point, are laid out with 16
 * bits an element in scratch memory and multiplied by two filters at a time, a single one by four.
 * SMLAD takes two products; SXTB16 makes two halves of a word's bytes 0 and 2, so that the windows
 * have their elements in the order 0 2 1 3.
 */
#include "../matrix/matrix.h"

#include "dsp.h"

/* Lay a window of `count` elements out, four in every `step` words; the last ones with zeros. */
static inline void widen(uint32_t *to, size_t step, const int8_t *from, size_t count,
                         int32_t zero_point) {
  const uint32_t less = twice(-zero_point);
  for (; count >= 4; count -= 4, from += 4, to += step) {
    const uint32_t word = load_word(from);
    to[0] = add_even_bytes(less, word);
    to[1] = add_odd_bytes(less, word);
  }
  if (count == 0) return;
  uint32_t word = 0; /* what gives 0 in the places behind the window */
  for (size_t k = 0; k < 4; k++)
    word |= ((uint32_t)(k < count ? from[k] : zero_point) & 0xffU) << 8 * k;
  to[0] = add_even_bytes(less, word);
  to[1] = add_odd_bytes(less, word);
}

/* Bytes of a filter that are read in words: to the next filter's, but for the last filter. */
static inline size_t readable(const tosaic_filters *filters, const int8_t *last) {
  const size_t rounded = tosaic_rounded(filters->window);
  return last + rounded <= filters->end ? rounded : filters->window & ~(size_t)3;
}

/* The loop needs all registers, so it has a function of its own. */
void tosaic_multiply_two(const tosaic_filters *filters, const uint32_t *x, const int8_t *w0,
                         const int8_t *w1, int32_t first[2], int32_t second[2]) {
  const size_t words = readable(filters, w1);
  const int8_t *const end = w0 + words;
  int32_t s0 = first[0], s1 = first[1], s2 = second[0], s3 = second[1];
  if (words) {
    uint32_t even, odd;
    __asm__ volatile(
        "1: ldm %[x]!, {r4, r5, r6, r8}\n"
        "ldr %[odd], [%[w0]], #4\n"
        "sxtb16 %[even], %[odd]\n"
        "sxtb16 %[odd], %[odd], ror #8\n"
        "smlad %[s0], %[even], r4, %[s0]\n"
        "smlad %[s2], %[even], r6, %[s2]\n"
        "smlad %[s0], %[odd], r5, %[s0]\n"
        "smlad %[s2], %[odd], r8, %[s2]\n"
        "ldr %[odd], [%[w1]], #4\n"
        "sxtb16 %[even], %[odd]\n"
        "sxtb16 %[odd], %[odd], ror #8\n"
        "smlad %[s1], %[even], r4, %[s1]\n"
        "smlad %[s3], %[even], r6, %[s3]\n"
        "smlad %[s1], %[odd], r5, %[s1]\n"
        "smlad %[s3], %[odd], r8, %[s3]\n"
        "cmp %[w0], %[end]\n"
        "bne 1b\n"
        : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [x] "+r"(x), [w0] "+r"(w0),
          [w1] "+r"(w1), [even] "=&r"(even), [odd] "=&r"(odd)
        : [end] "r"(end)
        : "r4", "r5", "r6", "r8", "cc", "memory");
  }
  if (words < filters->window) {
    const uint32_t a = load_bytes(w0, filters->window % 4), b = load_bytes(w1, filters->window % 4);
    s0 = __smlad(odd_bytes(a), x[1], __smlad(even_bytes(a), x[0], s0));
    s1 = __smlad(odd_bytes(b), x[1], __smlad(even_bytes(b), x[0], s1));
    s2 = __smlad(odd_bytes(a), x[3], __smlad(even_bytes(a), x[2], s2));
    s3 = __smlad(odd_bytes(b), x[3], __smlad(even_bytes(b), x[2], s3));
  }
  first[0] = s0;
  first[1] = s1;
  second[0] = s2;
  second[1] = s3;
}

void tosaic_multiply_one(const tosaic_filters *filters, const uint32_t *x,
                         const int8_t *const four[4], int32_t sums[4]) {
  const size_t words = readable(filters, four[3]);
  const int8_t *w0 = four[0], *w1 = four[1], *w2 = four[2], *w3 = four[3];
  const uint32_t *const end = x + words / 4 * TOSAIC_WORDS_OF_ONE;
  int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  if (words) {
    uint32_t even, odd;
    __asm__ volatile(
        "1: ldm %[x]!, {r4, r5}\n"
        "ldr %[odd], [%[w0]], #4\n"
        "sxtb16 %[even], %[odd]\n"
        "sxtb16 %[odd], %[odd], ror #8\n"
        "smlad %[s0], %[even], r4, %[s0]\n"
        "smlad %[s0], %[odd], r5, %[s0]\n"
        "ldr %[odd], [%[w1]], #4\n"
        "sxtb16 %[even], %[odd]\n"
        "sxtb16 %[odd], %[odd], ror #8\n"
        "smlad %[s1], %[even], r4, %[s1]\n"
        "smlad %[s1], %[odd], r5, %[s1]\n"
        "ldr %[odd], [%[w2]], #4\n"
        "sxtb16 %[even], %[odd]\n"
        "sxtb16 %[odd], %[odd], ror #8\n"
        "smlad %[s2], %[even], r4, %[s2]\n"
        "smlad %[s2], %[odd], r5, %[s2]\n"
        "ldr %[odd], [%[w3]], #4\n"
        "sxtb16 %[even], %[odd]\n"
        "sxtb16 %[odd], %[odd], ror #8\n"
        "smlad %[s3], %[even], r4, %[s3]\n"
        "smlad %[s3], %[odd], r5, %[s3]\n"
        "ldr %[odd], %[end]\n"
        "cmp %[x], %[odd]\n"
        "bne 1b\n"
        : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [x] "+r"(x), [w0] "+r"(w0),
          [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3), [even] "=&r"(even), [odd] "=&r"(odd)
        : [end] "m"(end)
        : "r4", "r5", "cc", "memory");
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
  if (words < filters->window) {
    const int8_t *const rest[4] = {w0, w1, w2, w3};
    for (size_t k = 0; k < 4; k++) {
      const uint32_t w = load_bytes(rest[k], filters->window % 4);
      sums[k] = __smlad(odd_bytes(w), x[1], __smlad(even_bytes(w), x[0], sums[k]));
    }
  }
}

static inline void store(const tosaic_matrix *m, const int32_t sums[4], size_t channel,
                         size_t index) {
  const size_t left = m->channels - channel;
  if (left >= 4) {
    tosaic_store_four(&m->output, sums, m->first + channel, index + channel);
  } else {
    store_some(&m->output, sums, m->first + channel, index + channel, left);
  }
}

static inline void shift(int32_t sums[4], int32_t by) {
  for (size_t k = 0; k < 4; k++) sums[k] = tosaic_wrap_add(sums[k], by);
}

static void run_two(const tosaic_matrix *m, size_t index, size_t index_step,
                    const int32_t *shifts) {
  const size_t window = m->filters.window, step = m->bias_step;
  const int8_t *weight = m->weight;
  const int32_t *bias = m->bias;
  int32_t first[4], second[4];
  size_t c = 0;
  for (; c + 4 <= m->channels; c += 4, weight += 4 * window, bias += 4 * step) {
    first[0] = second[0] = bias[0];
    first[1] = second[1] = bias[step];
    first[2] = second[2] = bias[2 * step];
    first[3] = second[3] = bias[3 * step];
    if (shifts) {
      shift(first, shifts[0]);
      shift(second, shifts[1]);
    }
    tosaic_multiply_two(&m->filters, m->wide, weight, weight + window, first, second);
    tosaic_multiply_two(&m->filters, m->wide, weight + 2 * window, weight + 3 * window, first + 2,
                        second + 2);
    tosaic_store_four(&m->output, first, m->first + c, index + c);
    tosaic_store_four(&m->output, second, m->first + c, index + index_step + c);
  }
  for (; c < m->channels; c++, weight += window, bias += step) {
    first[0] = first[1] = second[0] = second[1] = *bias;
    if (shifts) {
      first[0] = tosaic_wrap_add(*bias, shifts[0]);
      second[0] = tosaic_wrap_add(*bias, shifts[1]);
    }
    tosaic_multiply_two(&m->filters, m->wide, weight, weight, first, second);
    store_some(&m->output, first, m->first + c, index + c, 1);
    store_some(&m->output, second, m->first + c, index + index_step + c, 1);
  }
}

static void run_one(const tosaic_matrix *m, size_t index, const int32_t *shifts) {
  for (size_t c = 0; c < m->channels; c += 4) {
    const size_t left = m->channels - c;
    const int8_t *four[4];
    int32_t sums[4];
    for (size_t k = 0; k < 4; k++) {
      const size_t channel = c + (k < left ? k : left - 1);
      four[k] = m->weight + channel * m->filters.window;
      sums[k] = m->bias[channel * m->bias_step];
    }
    if (shifts) shift(sums, shifts[0]);
    tosaic_multiply_one(&m->filters, m->wide, four, sums);
    store(m, sums, c, index);
  }
}

void tosaic_matrix_run(const tosaic_matrix *m, const int8_t *x, size_t step, size_t count,
                       size_t index, size_t index_step, const int32_t *shifts) {
  const size_t window = m->filters.window;
  index += m->first;
  for (; count >= 2; count -= 2, x += 2 * step, index += 2 * index_step) {
    widen(m->wide, TOSAIC_WORDS_OF_TWO, x, window, m->zero_point);
    widen(m->wide + TOSAIC_WORDS_OF_ONE, TOSAIC_WORDS_OF_TWO, x + step, window, m->zero_point);
    run_two(m, index, index_step, shifts);
    if (shifts) shifts += 2;
  }
  if (count) {
    widen(m->wide, TOSAIC_WORDS_OF_ONE, x, window, m->zero_point);
    run_one(m, index, shifts);
  }
}

void tosaic_matrix_prepare(tosaic_matrix *m, const int8_t *filters, size_t first, size_t count,
                           const int32_t *bias, size_t bias_step) {
  m->weight = filters;
  m->filters.end = filters + count * m->filters.window;
  m->first = first;
  m->channels = count;
  m->bias = bias + first * bias_step;
  m->bias_step = bias_step;
}

void tosaic_matrix_init(tosaic_matrix *m, size_t window, size_t all, int32_t zero_point,
                        const tosaic_rescale *rescale, void *output, void *scratch) {
  m->filters.window = window;
  m->all = all;
  m->zero_point = zero_point;
  m->output = tosaic_output_of(rescale, all, output);
  m->wide = (uint32_t *)scratch;
}

int32_t tosaic_sum_i8(const int8_t *x, size_t count) {
  int32_t sum = 0;
  for (; count >= 4; count -= 4, x += 4) {
    const uint32_t word = load_word(x);
    sum = __smlad(even_bytes(word), 0x10001, __smlad(odd_bytes(word), 0x10001, sum));
  }
  while (count--) sum += *x++;
  return sum;
}

int32_t tosaic_dot_i8(const int8_t *x, const int8_t *y, size_t count) {
  int32_t sum = 0;
  for (; count >= 4; count -= 4, x += 4, y += 4) {
    const uint32_t a = load_word(x), b = load_word(y);
    sum = __smlad(even_bytes(a), even_bytes(b), __smlad(odd_bytes(a), odd_bytes(b), sum));
  }
  while (count--) sum += *x++ * *y++;
  return sum;
}

void tosaic_row_by_columns(const int8_t *row, int32_t zero_point, const int8_t *columns,
                           size_t width, size_t channels, size_t count,
                           int32_t sums[TOSAIC_ROW_COLUMNS]) {
  const int8_t *const end = row + channels;
  for (; count >= 4; count -= 4, columns += 4, sums += 4) {
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    const int8_t *y = columns;
    for (const int8_t *x = row; x != end; x++, y += width) {
      const int32_t factor = *x - zero_point;
      const uint32_t word = load_word(y);
      const int32_t even = (int32_t)even_bytes(word), odd = (int32_t)odd_bytes(word);
      s0 = __smlabb(factor, even, s0);
      s1 = __smlabb(factor, odd, s1);
      s2 = __smlabt(factor, even, s2);
      s3 = __smlabt(factor, odd, s3);
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
  }
  for (; count; count--, columns++, sums++) {
    const int8_t *y = columns;
    for (const int8_t *x = row; x != end; x++, y += width)
      *sums = __smlabb(*x - zero_point, *y, *sums);
  }
}
