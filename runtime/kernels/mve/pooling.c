/* AVG_POOL2D and MAX_POOL2D: of int8 by vectors of neighbouring channels, of int16 portable. */
#include "../reference/pooling.h"

#include <arm_mve.h>

AVG_POOL2D(i16, int16_t, int32_t, reciprocal, reciprocal_of, add_integer, average_i16)
MAX_POOL2D(i16, int16_t, INT16_MIN, larger_integer)

/* The first element of a window, of channel 0. */
static inline const int8_t *first_of(const tosaic_pool *p, window w, int32_t batch,
                                     const int8_t *input) {
  const size_t y = (size_t)(batch * p->input_height + w.first_y);
  return input + (y * (size_t)p->input_width + (size_t)w.first_x) * (size_t)p->channels;
}

/* The averages of `count` channels, at most 4. */
static inline void average_four(const tosaic_pool *p, window w, reciprocal share, const int8_t *x,
                                uint32_t count, int8_t *output) {
  const mve_pred16_t lanes = vctp32q(count);
  const size_t row = (size_t)p->input_width * (size_t)p->channels;
  const int32_t elements = count_of(w);
  int32x4_t sum = vdupq_n_s32(0);
  for (int32_t y = w.first_y; y < w.end_y; y++, x += row) {
    const int8_t *at = x;
    if (count == 4) {
      for (int32_t k = w.first_x; k < w.end_x; k++, at += p->channels)
        sum = vaddq_s32(sum, vldrbq_s32(at));
    } else {
      for (int32_t k = w.first_x; k < w.end_x; k++, at += p->channels)
        sum = vaddq_s32(sum, vldrbq_z_s32(at, lanes));
    }
  }
  sum = vsubq_n_s32(sum, tosaic_wrap_mul(elements, p->input_zp));
  const int32_t up = up_of(share); /* see average() */
  sum = vmulhq_s32(vshlq_r_s32(sum, up), vdupq_n_s32((int32_t)share.multiplier));
  sum = vrshlq_n_s32(sum, 32 - share.shift - up);
  sum = vaddq_n_s32(sum, p->output_zp);
  sum = vminq_s32(vmaxq_s32(sum, vdupq_n_s32(INT8_MIN)), vdupq_n_s32(INT8_MAX));
  vstrbq_p_s32(output, sum, lanes);
}

/* The largest values of `count` channels, at most 16. */
static inline void largest_sixteen(const tosaic_pool *p, window w, const int8_t *x, uint32_t count,
                                   int8_t *output) {
  const mve_pred16_t lanes = vctp8q(count);
  const size_t row = (size_t)p->input_width * (size_t)p->channels;
  int8x16_t largest = vdupq_n_s8(INT8_MIN);
  for (int32_t y = w.first_y; y < w.end_y; y++, x += row) {
    const int8_t *at = x;
    for (int32_t k = w.first_x; k < w.end_x; k++, at += p->channels)
      largest = vmaxq_s8(largest, vldrbq_z_s8(at, lanes));
  }
  vstrbq_p_s8(output, largest, lanes);
}

void tosaic_avg_pool2d_i8(const tosaic_pool *p, const int8_t *input, int8_t *output) {
  for (int32_t n = 0; n < p->batches; n++)
    for (int32_t oy = 0; oy < p->output_height; oy++)
      for (int32_t ox = 0; ox < p->output_width; ox++, output += p->channels) {
        const window w = window_of(p, oy, ox);
        const reciprocal share = reciprocal_of(count_of(w));
        const int8_t *x = first_of(p, w, n, input);
        for (int32_t c = 0; c < p->channels; c += 4)
          average_four(p, w, share, x + c, (uint32_t)tosaic_min(4, p->channels - c), output + c);
      }
}

void tosaic_max_pool2d_i8(const tosaic_pool *p, const int8_t *input, int8_t *output) {
  for (int32_t n = 0; n < p->batches; n++)
    for (int32_t oy = 0; oy < p->output_height; oy++)
      for (int32_t ox = 0; ox < p->output_width; ox++, output += p->channels) {
        const window w = window_of(p, oy, ox);
        const int8_t *x = first_of(p, w, n, input);
        for (int32_t c = 0; c < p->channels; c += 16)
          largest_sixteen(p, w, x + c, (uint32_t)tosaic_min(16, p->channels - c), output + c);
      }
}
