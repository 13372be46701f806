/* DEPTHWISE_CONV2D of int8: four neighbouring channels at a time, one word of inputs and one of
 * weights a tap.
 */
#include "../reference/convolution.h"
#include "dsp.h"
#include "output.h"
#include "scratch.h"

/* For what does not come in words, and for multipliers. */
static TOSAIC_CONVOLUTION(TOSAIC_DEPTHWISE, depthwise_conv2d_i8_portable, TOSAIC_TYPES_I8)

    typedef struct taps {
  const int8_t *x, *weight; /* of the first tap inside of the input */
  int32_t rows, columns;
  ptrdiff_t x_step, x_line, weight_step, weight_line;
  uint32_t less; /* the zero point, negative, twice */
} taps;

/* The sums of four channels. Not inline: it needs many registers. */
static __attribute__((noinline)) void sum_four(const taps *t, size_t channel, const int32_t *bias,
                                               size_t bias_step, int32_t sums[4]) {
  int32_t s0 = bias[0], s1 = bias[bias_step], s2 = bias[2 * bias_step], s3 = bias[3 * bias_step];
  const int8_t *x = t->x + channel, *weight = t->weight + channel;
  const ptrdiff_t x_step = t->x_step, weight_step = t->weight_step;
  const uint32_t less = t->less;
  for (int32_t rows = t->columns > 0 ? t->rows : 0; rows > 0; rows--) {
    int32_t columns = t->columns;
    do {
      const uint32_t a = load_word(x), b = load_word(weight);
      const uint32_t a_even = add_even_bytes(less, a), b_even = even_bytes(b);
      const uint32_t a_odd = add_odd_bytes(less, a), b_odd = odd_bytes(b);
      s0 = __smlabb((int32_t)a_even, (int32_t)b_even, s0);
      s2 = __smlatt((int32_t)a_even, (int32_t)b_even, s2);
      s1 = __smlabb((int32_t)a_odd, (int32_t)b_odd, s1);
      s3 = __smlatt((int32_t)a_odd, (int32_t)b_odd, s3);
      x += x_step;
      weight += weight_step;
    } while (--columns);
    x += t->x_line;
    weight += t->weight_line;
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

static inline int32_t add_one(const taps *t, size_t channel, int32_t sum, int32_t zero_point) {
  const int8_t *x = t->x + channel, *weight = t->weight + channel;
  for (int32_t ky = 0; ky < t->rows; ky++, x += t->x_line, weight += t->weight_line)
    for (int32_t kx = 0; kx < t->columns; kx++, x += t->x_step, weight += t->weight_step)
      sum = tosaic_wrap_add(sum, (*x - zero_point) * *weight);
  return sum;
}

void tosaic_depthwise_conv2d_i8(const tosaic_conv *p, const int8_t *input, const int8_t *weight,
                                const int32_t *bias, const tosaic_rescale *rescale, void *output,
                                void *scratch) {
  if (!tosaic_takes_i8(p) || p->output_channels != p->input_channels) {
    tosaic_depthwise_conv2d_i8_portable(p, input, weight, bias, rescale, output, scratch);
    return;
  }
  const size_t channels = (size_t)p->input_channels;
  const ptrdiff_t step = (ptrdiff_t)channels;
  const size_t bias_step = p->bias_channels == 1 ? 0 : 1;
  const tosaic_output stage = tosaic_output_of(rescale, channels, output);
  size_t index = 0;
  for (int32_t n = 0; n < p->batches; n++)
    for (int32_t oy = 0; oy < p->output_height; oy++) {
      const tosaic_taps y =
          taps_of(oy, p->stride_y, p->pad_top, p->dilation_y, p->kernel_height, p->input_height);
      for (int32_t ox = 0; ox < p->output_width; ox++, index += channels) {
        const tosaic_taps x =
            taps_of(ox, p->stride_x, p->pad_left, p->dilation_x, p->kernel_width, p->input_width);
        const ptrdiff_t line = n * p->input_height + y.origin + y.first * p->dilation_y;
        taps t = {.rows = y.end - y.first,
                  .columns = x.end - x.first,
                  .x_step = p->dilation_x * step,
                  .weight_step = step,
                  .less = twice(-p->input_zp)};
        t.x = input + (line * p->input_width + x.origin + x.first * p->dilation_x) * step;
        t.weight = weight + (y.first * p->kernel_width + x.first) * step;
        t.x_line = (ptrdiff_t)p->dilation_y * p->input_width * step - t.columns * t.x_step;
        t.weight_line = (p->kernel_width - t.columns) * step;
        size_t c = 0;
        for (; c + 4 <= channels; c += 4) {
          int32_t sums[4];
          sum_four(&t, c, bias + c * bias_step, bias_step, sums);
          tosaic_store_four(&stage, sums, c, index + c);
        }
        for (; c < channels; c++) {
          const int32_t sum = add_one(&t, c, bias[c * bias_step], p->input_zp);
          store_some(&stage, &sum, c, index + c, 1);
        }
      }
    }
}
