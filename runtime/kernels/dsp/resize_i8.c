/* Bilinear RESIZE of int8: a product of a word has those of two channels. */
#include "../reference/resize.h"
#include "dsp.h"

/* Take a word of four channels into the sums of the even and of the odd ones, whose upper halves
 * have those of channels 2 and 3. With 128 added no element is negative, as halves that are to be
 * multiplied together must not be; `start` takes that out again.
 */
#define TAKE(WORD, WEIGHT)                                        \
  word = WORD;                                                    \
  even += add_even_bytes(0x00800080U, word) * (uint32_t)(WEIGHT); \
  odd += add_odd_bytes(0x00800080U, word) * (uint32_t)(WEIGHT);

/* As many channels of a place as words have, between two pixels above and two below, `step` apart.
 * Weights add up to 256 at most, for sums of 16 bits. Not inline: it takes all registers.
 */
static __attribute__((noinline)) void by_words(const int8_t *top, const int8_t *bottom,
                                               ptrdiff_t step, size_t words,
                                               const int32_t weight[4], int32_t *output) {
  const int32_t a = weight[0], b = weight[1], c = weight[2], d = weight[3];
  const uint32_t start = (uint32_t)(a + b + c + d) * -0x00800080U;
  for (; words; words--, top += 4, bottom += 4, output += 4) {
    uint32_t word, even = start, odd = start;
    TAKE(load_word(top), a)
    TAKE(load_word(top + step), b)
    TAKE(load_word(bottom), c)
    TAKE(load_word(bottom + step), d)
    output[0] = (int16_t)even;
    output[1] = (int16_t)odd;
    output[2] = (int32_t)(even - (uint32_t)(int16_t)even) >> 16;
    output[3] = (int32_t)(odd - (uint32_t)(int16_t)odd) >> 16;
  }
}

void tosaic_resize_bilinear_i8(const tosaic_resize *p, const int8_t *input, int32_t *output) {
  const size_t channels = (size_t)p->channels;
  const size_t words = p->scale_y_n * p->scale_x_n <= 256 ? channels / 4 : 0;
  for (int32_t n = 0; n < p->batches; n++)
    for (int32_t oy = 0; oy < p->output_height; oy++) {
      const place y = place_of(oy, p->scale_y_n, p->scale_y_d, p->offset_y, p->input_height);
      const int8_t *const top = input + pixel(p, n, y.index, 0);
      const int8_t *const bottom = input + pixel(p, n, y.next, 0);
      for (int32_t ox = 0; ox < p->output_width; ox++, output += channels) {
        const place x = place_of(ox, p->scale_x_n, p->scale_x_d, p->offset_x, p->input_width);
        const int8_t *above = top + (size_t)x.index * channels;
        const int8_t *below = bottom + (size_t)x.index * channels;
        const ptrdiff_t step = (x.next - x.index) * p->channels;
        const int32_t up = p->scale_y_n - y.fraction, left = p->scale_x_n - x.fraction;
        const int32_t weight[4] = {up * left, up * x.fraction, y.fraction * left,
                                   y.fraction * x.fraction};
        if (words) by_words(above, below, step, words, weight, output);
        for (size_t c = 4 * words; c < channels; c++)
          output[c] = above[c] * weight[0] + above[(ptrdiff_t)c + step] * weight[1] +
                      below[c] * weight[2] + below[(ptrdiff_t)c + step] * weight[3];
      }
    }
}
