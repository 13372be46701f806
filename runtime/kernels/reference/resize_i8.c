#include "resize.h"

/* Bilinear RESIZE of int8, each result from four elements and their weights. TOSA's limit on
 * scales, 1 << 11, keeps results within int32.
 */
void tosaic_resize_bilinear_i8(const tosaic_resize *p, const int8_t *input, int32_t *output) {
  EACH_PIXEL(p) {
    const place y = place_of(oy, p->scale_y_n, p->scale_y_d, p->offset_y, p->input_height);
    const place x = place_of(ox, p->scale_x_n, p->scale_x_d, p->offset_x, p->input_width);
    const int8_t *top_left = input + pixel(p, n, y.index, x.index);
    const int8_t *top_right = input + pixel(p, n, y.index, x.next);
    const int8_t *bottom_left = input + pixel(p, n, y.next, x.index);
    const int8_t *bottom_right = input + pixel(p, n, y.next, x.next);
    const int32_t above = p->scale_y_n - y.fraction, left = p->scale_x_n - x.fraction;
    const int32_t a = above * left, b = above * x.fraction;
    const int32_t c = y.fraction * left, d = y.fraction * x.fraction;
    for (int32_t k = 0; k < p->channels; k++)
      *output++ = top_left[k] * a + top_right[k] * b + bottom_left[k] * c + bottom_right[k] * d;
  }
}
