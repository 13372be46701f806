#include "resize.h"

#include "../copy_bytes.h"

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

BILINEAR(i16, int16_t, int64_t, uint8_t, tosaic_store_i48)
