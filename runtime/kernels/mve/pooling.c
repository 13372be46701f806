/* AVG_POOL2D and MAX_POOL2D by vectors of neighbouring channels. */
#include "../reference/pooling.h"

#include <arm_mve.h>

/* Where a window's first element of channel 0 lies in the input. */
static inline size_t first_of(const tosaic_pool *p, window w, int32_t batch) {
  const size_t y = (size_t)(batch * p->input_height + w.first_y);
  return (y * (size_t)p->input_width + (size_t)w.first_x) * (size_t)p->channels;
}

/* The averages of sums of `elements` each. */
static inline int32x4_t averages(const tosaic_pool *p, int32x4_t sum, int32_t elements,
                                 reciprocal share) {
  sum = vsubq_n_s32(sum, tosaic_wrap_mul(elements, p->input_zp));
  const int32_t up = up_of(share); /* see average() */
  sum = vmulhq_s32(vshlq_r_s32(sum, up), vdupq_n_s32((int32_t)share.multiplier));
  sum = vrshlq_n_s32(sum, 32 - share.shift - up);
  return vaddq_n_s32(sum, p->output_zp);
}

/* Defines tosaic_avg_pool2d_NAME, of four channels at once. */
#define AVERAGES(NAME, TYPE, LOAD_ALL, LOAD, STORE, LOW, HIGH)                             \
  static inline void average_four_##NAME(const tosaic_pool *p, window w, reciprocal share, \
                                         const TYPE *x, uint32_t count, TYPE *output) {    \
    const mve_pred16_t lanes = vctp32q(count);                                             \
    const size_t row = (size_t)p->input_width * (size_t)p->channels;                       \
    int32x4_t sum = vdupq_n_s32(0);                                                        \
    for (int32_t y = w.first_y; y < w.end_y; y++, x += row) {                              \
      const TYPE *at = x;                                                                  \
      if (count == 4) {                                                                    \
        for (int32_t k = w.first_x; k < w.end_x; k++, at += p->channels)                   \
          sum = vaddq_s32(sum, LOAD_ALL(at));                                              \
      } else {                                                                             \
        for (int32_t k = w.first_x; k < w.end_x; k++, at += p->channels)                   \
          sum = vaddq_s32(sum, LOAD(at, lanes));                                           \
      }                                                                                    \
    }                                                                                      \
    sum = averages(p, sum, count_of(w), share);                                            \
    STORE(output, vminq_s32(vmaxq_s32(sum, vdupq_n_s32(LOW)), vdupq_n_s32(HIGH)), lanes);  \
  }                                                                                        \
  void tosaic_avg_pool2d_##NAME(const tosaic_pool *p, const TYPE *input, TYPE *output) {   \
    EACH_WINDOW(p) {                                                                       \
      const window w = window_of(p, oy, ox);                                               \
      const reciprocal share = reciprocal_of(count_of(w));                                 \
      const TYPE *x = input + first_of(p, w, n);                                           \
      for (int32_t c = 0; c < p->channels; c += 4)                                         \
        average_four_##NAME(p, w, share, x + c, (uint32_t)tosaic_min(4, p->channels - c),  \
                            output + c);                                                   \
    }                                                                                      \
  }

/* Defines tosaic_max_pool2d_NAME, of COUNT channels at once. */
#define MAXIMA(NAME, TYPE, VECTOR, COUNT, VCTP, LOWEST, LARGER, LOAD, STORE)             \
  void tosaic_max_pool2d_##NAME(const tosaic_pool *p, const TYPE *input, TYPE *output) { \
    const size_t row = (size_t)p->input_width * (size_t)p->channels;                     \
    EACH_WINDOW(p) {                                                                     \
      const window w = window_of(p, oy, ox);                                             \
      const TYPE *first = input + first_of(p, w, n);                                     \
      for (int32_t c = 0; c < p->channels; c += COUNT) {                                 \
        const mve_pred16_t lanes = VCTP((uint32_t)(p->channels - c));                    \
        const TYPE *x = first + c;                                                       \
        VECTOR largest = LOWEST;                                                         \
        for (int32_t y = w.first_y; y < w.end_y; y++, x += row) {                        \
          const TYPE *at = x;                                                            \
          for (int32_t k = w.first_x; k < w.end_x; k++, at += p->channels)               \
            largest = LARGER(largest, LOAD(at, lanes));                                  \
        }                                                                                \
        STORE(output + c, largest, lanes);                                               \
      }                                                                                  \
    }                                                                                    \
  }

#define EACH_WINDOW(p)                                  \
  for (int32_t n = 0; n < (p)->batches; n++)            \
    for (int32_t oy = 0; oy < (p)->output_height; oy++) \
      for (int32_t ox = 0; ox < (p)->output_width; ox++, output += (p)->channels)

AVERAGES(i8, int8_t, vldrbq_s32, vldrbq_z_s32, vstrbq_p_s32, INT8_MIN, INT8_MAX)
AVERAGES(i16, int16_t, vldrhq_s32, vldrhq_z_s32, vstrhq_p_s32, INT16_MIN, INT16_MAX)
MAXIMA(i8, int8_t, int8x16_t, 16, vctp8q, vdupq_n_s8(INT8_MIN), vmaxq_s8, vldrbq_z_s8, vstrbq_p_s8)
MAXIMA(i16, int16_t, int16x8_t, 8, vctp16q, vdupq_n_s16(INT16_MIN), vmaxq_s16, vldrhq_z_s16,
       vstrhq_p_s16)
