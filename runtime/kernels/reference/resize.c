#include <string.h>

#include "../arithmetic.h"
#include "../copy_bytes.h"

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

void tosaic_resize_nearest(const tosaic_resize *p, size_t element_size, const void *input,
                           void *output) {
  const char *from = (const char *)input;
  char *to = (char *)output;
  const size_t bytes = (size_t)p->channels * element_size;
  EACH_PIXEL(p) {
    const place y = place_of(oy, p->scale_y_n, p->scale_y_d, p->offset_y, p->input_height);
    const place x = place_of(ox, p->scale_x_n, p->scale_x_d, p->offset_x, p->input_width);
    const int32_t iy = y.fraction * 2 >= p->scale_y_n ? y.next : y.index;
    const int32_t ix = x.fraction * 2 >= p->scale_x_n ? x.next : x.index;
    copy_bytes(to, from + pixel(p, n, iy, ix) * element_size, bytes);
    to += bytes;
  }
}

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
      for (int32_t c = 0; c < p->channels; c++, index++) {                                     \
        const WIDE top =                                                                       \
            (WIDE)top_left[c] * (p->scale_x_n - x.fraction) + (WIDE)top_right[c] * x.fraction; \
        const WIDE bottom = (WIDE)bottom_left[c] * (p->scale_x_n - x.fraction) +               \
                            (WIDE)bottom_right[c] * x.fraction;                                \
        STORE(output, index, top *(p->scale_y_n - y.fraction) + bottom * y.fraction);          \
      }                                                                                        \
    }                                                                                          \
  }

#define STORE_I32(data, index, value) (data)[index] = (int32_t)(value)

BILINEAR(i8, int8_t, int64_t, int32_t, STORE_I32)
BILINEAR(i16, int16_t, int64_t, uint8_t, tosaic_store_i48)
