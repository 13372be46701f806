/* CONV2D of int8 as products of matrices: the windows of two output elements, less the zero point,
 * are laid out with 16 bits an element in scratch memory and multiplied by two filters at a time,
 * a single one by four. SMLAD takes two products; SXTB16 makes two halves of a word's bytes 0 and
 * 2, so that the windows have their elements in the order 0 2 1 3.
 */
#include "../reference/convolution.h"
#include "dsp.h"

/* For what the matrix form does not take. */
static TOSAIC_CONVOLUTION(TOSAIC_CONV3D, conv2d_i8_portable, TOSAIC_TYPES_I8)

    typedef struct matrix {
  const int8_t *weight, *end; /* of all filters */
  const int32_t *bias;
  size_t window, channels, bias_step;
  tosaic_output output;
} matrix;

/* Two windows, or twice the same place of one, in words of two elements. */
enum { WORDS_OF_TWO = 4, WORDS_OF_ONE = 2 };

static inline void copy(int8_t *to, const int8_t *from, size_t count) {
  for (; count >= 4; count -= 4, to += 4, from += 4) memcpy(to, from, 4);
  while (count--) *to++ = *from++;
}

static inline void fill(int8_t *to, int32_t value, size_t count) {
  const uint32_t word = ((uint32_t)value & 0xffU) * 0x1010101U;
  for (; count >= 4; count -= 4, to += 4) memcpy(to, &word, 4);
  while (count--) *to++ = (int8_t)value;
}

/* The window of an output element, with the zero point where it is outside of the input. */
static void gather(const tosaic_conv *p, const int8_t *input, tosaic_taps y, tosaic_taps x,
                   int8_t *window) {
  const size_t channels = (size_t)p->input_channels;
  const size_t row = (size_t)p->kernel_width * channels;
  const size_t line = (size_t)p->dilation_y * (size_t)p->input_width * channels;
  const int32_t columns = x.end - x.first, rows = y.end - y.first;
  if (columns < p->kernel_width || rows < p->kernel_height)
    fill(window, p->input_zp, (size_t)p->kernel_height * row);
  window += (size_t)y.first * row + (size_t)x.first * channels;
  input += ((size_t)(y.origin + y.first * p->dilation_y) * (size_t)p->input_width +
            (size_t)(x.origin + x.first * p->dilation_x)) *
           channels;
  for (int32_t ky = 0; ky < rows; ky++, window += row, input += line) {
    if (p->dilation_x == 1) {
      copy(window, input, (size_t)columns * channels);
      continue;
    }
    for (int32_t kx = 0; kx < columns; kx++)
      copy(window + (size_t)kx * channels, input + (size_t)(kx * p->dilation_x) * channels,
           channels);
  }
}

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
static inline size_t readable(const matrix *m, const int8_t *last) {
  const size_t rounded = tosaic_rounded(m->window);
  return last + rounded <= m->end ? rounded : m->window & ~(size_t)3;
}

/* Two windows by two filters. The loop needs all registers, so it has a function of its own. */
static __attribute__((noinline)) void multiply_two(const matrix *m, const uint32_t *x,
                                                   const int8_t *w0, const int8_t *w1,
                                                   int32_t first[2], int32_t second[2]) {
  const size_t words = readable(m, w1);
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
  if (words < m->window) {
    const uint32_t a = load_bytes(w0, m->window % 4), b = load_bytes(w1, m->window % 4);
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

/* One window by four filters. */
static __attribute__((noinline)) void multiply_one(const matrix *m, const uint32_t *x,
                                                   const int8_t *const filters[4],
                                                   int32_t sums[4]) {
  const size_t words = readable(m, filters[3]);
  const int8_t *w0 = filters[0], *w1 = filters[1], *w2 = filters[2], *w3 = filters[3];
  const uint32_t *const end = x + words / 4 * WORDS_OF_ONE;
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
  if (words < m->window) {
    const int8_t *const rest[4] = {w0, w1, w2, w3};
    for (size_t k = 0; k < 4; k++) {
      const uint32_t w = load_bytes(rest[k], m->window % 4);
      sums[k] = __smlad(odd_bytes(w), x[1], __smlad(even_bytes(w), x[0], sums[k]));
    }
  }
}

static inline void store(const matrix *m, const int32_t sums[4], size_t channel, size_t index) {
  if (m->channels - channel >= 4) {
    store_four(&m->output, sums, channel, index + channel);
  } else {
    store_some(&m->output, sums, channel, index + channel, m->channels - channel);
  }
}

static void run_two(const matrix *m, const uint32_t *x, size_t index) {
  const size_t window = m->window, step = m->bias_step;
  const int8_t *weight = m->weight;
  const int32_t *bias = m->bias;
  int32_t first[4], second[4];
  size_t c = 0;
  for (; c + 4 <= m->channels; c += 4, weight += 4 * window, bias += 4 * step) {
    first[0] = second[0] = bias[0];
    first[1] = second[1] = bias[step];
    first[2] = second[2] = bias[2 * step];
    first[3] = second[3] = bias[3 * step];
    multiply_two(m, x, weight, weight + window, first, second);
    multiply_two(m, x, weight + 2 * window, weight + 3 * window, first + 2, second + 2);
    store_four(&m->output, first, c, index + c);
    store_four(&m->output, second, c, index + m->channels + c);
  }
  for (; c < m->channels; c++, weight += window, bias += step) {
    first[0] = first[1] = second[0] = second[1] = *bias;
    multiply_two(m, x, weight, weight, first, second);
    store_some(&m->output, first, c, index + c, 1);
    store_some(&m->output, second, c, index + m->channels + c, 1);
  }
}

static void run_one(const matrix *m, const uint32_t *x, size_t index) {
  for (size_t c = 0; c < m->channels; c += 4) {
    const size_t left = m->channels - c;
    const int8_t *filters[4];
    int32_t sums[4];
    for (size_t k = 0; k < 4; k++) {
      const size_t channel = c + (k < left ? k : left - 1);
      filters[k] = m->weight + channel * m->window;
      sums[k] = m->bias[channel * m->bias_step];
    }
    multiply_one(m, x, filters, sums);
    store(m, sums, c, index);
  }
}

void tosaic_conv2d_i8(const tosaic_conv *p, const int8_t *input, const int8_t *weight,
                      const int32_t *bias, const tosaic_rescale *rescale, void *output,
                      void *scratch) {
  if (!tosaic_dsp_takes(p)) {
    tosaic_conv2d_i8_portable(p, input, weight, bias, rescale, output, scratch);
    return;
  }
  const size_t window = tosaic_window(p), channels = (size_t)p->output_channels;
  const matrix m = {.weight = weight,
                    .end = weight + channels * window,
                    .bias = bias,
                    .window = window,
                    .channels = channels,
                    .bias_step = p->bias_channels == 1 ? 0 : 1,
                    .output = output_of(rescale, channels, output)};
  uint32_t *const wide = (uint32_t *)scratch;
  int8_t *const gathered = (int8_t *)(wide + tosaic_rounded(window));
  const bool pointwise = tosaic_is_pointwise(p);
  const int32_t elements = p->output_height * p->output_width;
  const size_t image = (size_t)p->input_height * (size_t)p->input_width * (size_t)p->input_channels;
  size_t index = 0;
  for (int32_t n = 0; n < p->batches; n++, input += image) {
    int32_t oy = 0, ox = 0;
    for (int32_t element = 0; element < elements; element++) {
      /* Elements are paired in order, so that a last one may be alone. */
      const bool second = element % 2 != 0;
      const bool alone = !second && element + 1 == elements;
      const int8_t *from = gathered;
      if (pointwise) {
        from = input + (size_t)(oy * p->stride_y * p->input_width + ox * p->stride_x) * window;
      } else {
        gather(
            p, input,
            taps_of(oy, p->stride_y, p->pad_top, p->dilation_y, p->kernel_height, p->input_height),
            taps_of(ox, p->stride_x, p->pad_left, p->dilation_x, p->kernel_width, p->input_width),
            gathered);
      }
      widen(wide + (second ? WORDS_OF_ONE : 0), alone ? WORDS_OF_ONE : WORDS_OF_TWO, from, window,
            p->input_zp);
      if (alone) {
        run_one(&m, wide, index);
        index += channels;
      } else if (second) {
        run_two(&m, wide, index);
        index += 2 * channels;
      }
      if (++ox == p->output_width) {
        ox = 0;
        oy++;
      }
    }
  }
}
