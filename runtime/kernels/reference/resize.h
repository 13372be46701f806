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

/* Defines tosaic_resize_bilinear_NAME. FRACTION and WHOLE are of type WIDE: how far a place is
 * behind its index, and what the distance to the next index is.
 */
#define BILINEAR(NAME, TYPE, WIDE, OUT, FRACTION, WHOLE, STORE)                                \
  void tosaic_resize_bilinear_##NAME(const tosaic_resize *p, const TYPE *input, OUT *output) { \
    const WIDE whole_y = WHOLE(p->scale_y_n), whole_x = WHOLE(p->scale_x_n);                   \
    size_t index = 0;                                                                          \
    EACH_PIXEL(p) {                                                                            \
      const place y = place_of(oy, p->scale_y_n, p->scale_y_d, p->offset_y, p->input_height);  \
      const place x = place_of(ox, p->scale_x_n, p->scale_x_d, p->offset_x, p->input_width);   \
      const WIDE dy = FRACTION(y.fraction, p->scale_y_n);                                      \
      const WIDE dx = FRACTION(x.fraction, p->scale_x_n);                                      \
      const TYPE *top_left = input + pixel(p, n, y.index, x.index);                            \
      const TYPE *top_right = input + pixel(p, n, y.index, x.next);                            \
      const TYPE *bottom_left = input + pixel(p, n, y.next, x.index);                          \
      const TYPE *bottom_right = input + pixel(p, n, y.next, x.next);                          \
      for (int32_t c = 0; c < p->channels; c++, index++) {                                     \
        const WIDE top = top_left[c] * (whole_x - dx) + top_right[c] * dx;                     \
        const WIDE bottom = bottom_left[c] * (whole_x - dx) + bottom_right[c] * dx;            \
        STORE(output, index, top *(whole_y - dy) + bottom * dy);                               \
      }                                                                                        \
    }                                                                                          \
  }

#endif
