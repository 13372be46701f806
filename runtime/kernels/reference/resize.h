/* Places of RESIZE, and its bilinear loops, instantiated by source files per type. */
#ifndef TOSAIC_REFERENCE_RESIZE_H
#define TOSAIC_REFERENCE_RESIZE_H

#include "../arithmetic.h"

/* Where output `at` falls in the input: between index and next, at fraction / scale_n. */
typedef struct place {
  int32_t index, next, fraction;
} place;

static place place_of(int32_t at, int32_t scale_n, int32_t scale_d, int32_t offset, int32_t size) {
  const int32_t position = at * scale_d + offset;
  int32_t index = position / scale_n;
  if (position % scale_n < 0) index--;
  return (place){tosaic_clamped(index, 0, size - 1),
                 tosaic_clamped((int64_t)index + 1, 0, size - 1), position - index * scale_n};
}

static size_t pixel(const tosaic_resize *p, int32_t n, int32_t y, int32_t x) {
  return ((size_t)(n * p->input_height + y) * (size_t)p->input_width + (size_t)x) *
         (size_t)p->channels;
}

#define EACH_PIXEL(p)                                   \
  for (int32_t n = 0; n < (p)->batches; n++)            \
    for (int32_t oy = 0; oy < (p)->output_height; oy++) \
      for (int32_t ox = 0; ox < (p)->output_width; ox++)

/* Defines tosaic_resize_bilinear_NAME: each result is a sum of type WIDE of four elements by their
 * weights, which TOSA's limit on scales, 1 << 11, keeps within 22 bits.
 */
#define BILINEAR(NAME, TYPE, WIDE, OUT, STORE)                                                 \
  void tosaic_resize_bilinear_##NAME(const tosaic_resize *p, const TYPE *input, OUT *output) { \
    size_t index = 0;                                                                          \
    EACH_PIXEL(p) {                                                                            \
      const place y = place_of(oy, p->scale_y_n, p->scale_y_d, p->offset_y, p->input_height);  \
      const place x = place_of(ox, p->scale_x_n, p->scale_x_d, p->offset_x, p->input_width);   \
      const TYPE *top_left = input + pixel(p, n, y.index, x.index);                            \
      const TYPE *top_right = input + pixel(p, n, y.index, x.next);                            \
      const TYPE *bottom_left = input + pixel(p, n, y.next, x.index);                          \
      const TYPE *bottom_right = input + pixel(p, n, y.next, x.next);                          \
      const int32_t above = p->scale_y_n - y.fraction, left = p->scale_x_n - x.fraction;       \
      const int32_t a = above * left, b = above * x.fraction;                                  \
      const int32_t c = y.fraction * left, d = y.fraction * x.fraction;                        \
      for (int32_t k = 0; k < p->channels; k++, index++) {                                     \
        const WIDE top = (WIDE)top_left[k] * a + (WIDE)top_right[k] * b;                       \
        const WIDE bottom = (WIDE)bottom_left[k] * c + (WIDE)bottom_right[k] * d;              \
        STORE(output, index, top + bottom);                                                    \
      }                                                                                        \
    }                                                                                          \
  }

#endif
