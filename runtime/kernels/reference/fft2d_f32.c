#include <math.h>

#include "tosaic/kernels.h"

/* How much of a turn `at` of `size`, a power of two, is; exact. */
static float turn(int32_t at, int32_t size) { return (float)(at & (size - 1)) / (float)size; }

/* By definition, without memory: for images of some thousand elements. */
void tosaic_fft2d_f32(const tosaic_fft *p, const float *real, const float *imag, float *output_real,
                      float *output_imag) {
  const float circle = p->inverse ? -6.28318530717958647692f : 6.28318530717958647692f;
  const size_t size = (size_t)p->height * (size_t)p->width;
  for (int32_t n = 0; n < p->batches; n++, real += size, imag += imag ? size : 0)
    for (int32_t v = 0; v < p->height; v++)
      for (int32_t u = 0; u < p->output_width; u++) {
        float sum_real = 0, sum_imag = 0;
        size_t at = 0;
        for (int32_t y = 0; y < p->height; y++)
          for (int32_t x = 0; x < p->width; x++, at++) {
            const float turns = turn(y * v, p->height) + turn(x * u, p->width);
            const float angle = circle * (turns < 1 ? turns : turns - 1);
            const float c = cosf(angle), s = sinf(angle);
            const float im = imag ? imag[at] : 0;
            sum_real += real[at] * c + im * s;
            sum_imag += im * c - real[at] * s;
          }
        *output_real++ = sum_real;
        *output_imag++ = sum_imag;
      }
}
