/* Windows, averages and loops of pools, the loops instantiated by source files per type. */
#ifndef TOSAIC_REFERENCE_POOLING_H
#define TOSAIC_REFERENCE_POOLING_H

#include "../arithmetic.h"

typedef struct window {
  int32_t first_y, end_y, first_x, end_x; /* inside the input */
} window;

static inline window window_of(const tosaic_pool *p, int32_t oy, int32_t ox) {
  const int32_t y = oy * p->stride_y - p->pad_top, x = ox * p->stride_x - p->pad_left;
  return (window){tosaic_max(y, 0), tosaic_min(y + p->kernel_height, p->input_height),
                  tosaic_max(x, 0), tosaic_min(x + p->kernel_width, p->input_width)};
}

/* reciprocal_scale: what the sum of a window is multiplied with and shifted by. */
typedef struct reciprocal {
  uint32_t multiplier;
  int32_t shift;
} reciprocal;

static inline reciprocal reciprocal_of(int32_t count) {
  if (count < 1)
    return (reciprocal){0, 30}; /* only a malformed model has windows beside the input */
  int32_t bits = 0;
  while ((count - 1) >> bits) bits++;
  return (reciprocal){
      (uint32_t)(((UINT64_C(1) << (30 + bits)) + (UINT64_C(1) << bits)) / (uint32_t)count),
      30 + bits};
}

/* By how much a sum is shifted to the left for its product to be shifted by 33 at least. */
static inline int32_t up_of(reciprocal r) { return tosaic_max(33 - r.shift, 0); }

/* apply_scale_32: the average as TOSA divides it. The upper half of the product has the bit that
 * rounds; shifts below 33 are of at most four elements, whose sum has room.
 */
static inline int32_t average(int32_t sum, reciprocal r) {
  const int32_t up = up_of(r);
  const int64_t product = (int64_t)(sum * (1 << up)) * r.multiplier;
  return (((int32_t)(product >> 32) >> (r.shift + up - 33)) + 1) >> 1;
}

static inline int32_t count_of(window w) {
  return tosaic_max(0, w.end_y - w.first_y) * tosaic_max(0, w.end_x - w.first_x);
}

static inline int32_t add_integer(const tosaic_pool *p, int32_t sum, int32_t x) {
  return tosaic_wrap_add(sum, x - p->input_zp);
}

static inline int8_t average_i8(const tosaic_pool *p, int32_t sum, reciprocal share) {
  return (int8_t)tosaic_clamped((int64_t)average(sum, share) + p->output_zp, INT8_MIN, INT8_MAX);
}

static inline int16_t average_i16(const tosaic_pool *p, int32_t sum, reciprocal share) {
  return (int16_t)tosaic_clamped((int64_t)average(sum, share) + p->output_zp, INT16_MIN, INT16_MAX);
}

static inline int32_t larger_integer(const tosaic_pool *p, int32_t a, int32_t b) {
  (void)p;
  return tosaic_max(a, b);
}

/* An element in a window at x and y. */
#define AT(p, input, n, y, x, c)                                                               \
  (input)[((size_t)((n) * (p)->input_height + (y)) * (size_t)(p)->input_width + (size_t)(x)) * \
              (size_t)(p)->channels +                                                          \
          (size_t)(c)]

/* ADD takes an element into a SUM; SHARE_OF the window's count is computed once, for AVERAGE. */
#define AVG_POOL2D(NAME, TYPE, SUM, SHARE, SHARE_OF, ADD, AVERAGE)                       \
  void tosaic_avg_pool2d_##NAME(const tosaic_pool *p, const TYPE *input, TYPE *output) { \
    for (int32_t n = 0; n < p->batches; n++)                                             \
      for (int32_t oy = 0; oy < p->output_height; oy++)                                  \
        for (int32_t ox = 0; ox < p->output_width; ox++) {                               \
          const window w = window_of(p, oy, ox);                                         \
          const SHARE share = SHARE_OF(count_of(w));                                     \
          for (int32_t c = 0; c < p->channels; c++) {                                    \
            SUM sum = 0;                                                                 \
            for (int32_t y = w.first_y; y < w.end_y; y++)                                \
              for (int32_t x = w.first_x; x < w.end_x; x++)                              \
                sum = ADD(p, sum, AT(p, input, n, y, x, c));                             \
            *output++ = AVERAGE(p, sum, share);                                          \
          }                                                                              \
        }                                                                                \
  }

#define MAX_POOL2D(NAME, TYPE, LOWEST, LARGER)                                           \
  void tosaic_max_pool2d_##NAME(const tosaic_pool *p, const TYPE *input, TYPE *output) { \
    for (int32_t n = 0; n < p->batches; n++)                                             \
      for (int32_t oy = 0; oy < p->output_height; oy++)                                  \
        for (int32_t ox = 0; ox < p->output_width; ox++) {                               \
          const window w = window_of(p, oy, ox);                                         \
          for (int32_t c = 0; c < p->channels; c++) {                                    \
            TYPE largest = LOWEST;                                                       \
            for (int32_t y = w.first_y; y < w.end_y; y++)                                \
              for (int32_t x = w.first_x; x < w.end_x; x++)                              \
                largest = (TYPE)LARGER(p, largest, AT(p, input, n, y, x, c));            \
            *output++ = largest;                                                         \
          }                                                                              \
        }                                                                                \
  }

#endif
