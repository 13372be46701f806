/* Bilinear RESIZE of int8: a vector has neighbouring channels. */
#include <arm_mve.h>

#include "../reference/resize.h"

void tosaic_resize_bilinear_i8(const tosaic_resize *p, const int8_t *input, int32_t *output) {
  EACH_PIXEL(p) {
    const place y = place_of(oy, p->scale_y_n, p->scale_y_d, p->offset_y, p->input_height);
    const place x = place_of(ox, p->scale_x_n, p->scale_x_d, p->offset_x, p->input_width);
    const int8_t *top_left = input + pixel(p, n, y.index, x.index);
    const int8_t *top_right = input + pixel(p, n, y.index, x.next);
    const int8_t *bottom_left = input + pixel(p, n, y.next, x.index);
    const int8_t *bottom_right = input + pixel(p, n, y.next, x.next);
    const int32_t above = p->scale_y_n - y.fraction, left = p->scale_x_n - x.fraction;
    for (int32_t c = 0; c < p->channels; c += 4, output += 4) {
      const mve_pred16_t lanes = vctp32q((uint32_t)(p->channels - c));
      int32x4_t sum = vmulq_n_s32(vldrbq_z_s32(top_left + c, lanes), above * left);
      sum = vmlaq_n_s32(sum, vldrbq_z_s32(top_right + c, lanes), above * x.fraction);
      sum = vmlaq_n_s32(sum, vldrbq_z_s32(bottom_left + c, lanes), y.fraction * left);
      sum = vmlaq_n_s32(sum, vldrbq_z_s32(bottom_right + c, lanes), y.fraction * x.fraction);
      vstrwq_p_s32(output, sum, lanes);
    }
    output -= -p->channels & 3; /* lanes of the last vector that are not there */
  }
}
