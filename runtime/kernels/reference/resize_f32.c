#include "resize.h"

void tosaic_resize_bilinear_f32(const tosaic_resize *p, const float *input, float *output) {
  EACH_PIXEL(p) {
    const place y = place_of(oy, p->scale_y_n, p->scale_y_d, p->offset_y, p->input_height);
    const place x = place_of(ox, p->scale_x_n, p->scale_x_d, p->offset_x, p->input_width);
    const float dy = (float)y.fraction / (float)p->scale_y_n;
    const float dx = (float)x.fraction / (float)p->scale_x_n;
    const float *top_left = input + pixel(p, n, y.index, x.index);
    const float *top_right = input + pixel(p, n, y.index, x.next);
    const float *bottom_left = input + pixel(p, n, y.next, x.index);
    const float *bottom_right = input + pixel(p, n, y.next, x.next);
    for (int32_t c = 0; c < p->channels; c++) {
      const float top = top_left[c] * (1.0f - dx) + top_right[c] * dx;
      const float bottom = bottom_left[c] * (1.0f - dx) + bottom_right[c] * dx;
      *output++ = top * (1.0f - dy) + bottom * dy;
    }
  }
}
