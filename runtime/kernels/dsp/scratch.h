/* How the DSP kernels use their scratch memory; nothing here is of the architecture. */
#ifndef TOSAIC_DSP_SCRATCH_H
#define TOSAIC_DSP_SCRATCH_H

#include "tosaic/kernels.h"

/* Larger sizes, which no microcontroller holds, take the portable loops: sizes then stay far from
 * overflow.
 */
enum { TOSAIC_DSP_LIMIT = 1 << 24 };

static inline size_t tosaic_window(const tosaic_conv *p) {
  return (size_t)p->kernel_height * (size_t)p->kernel_width * (size_t)p->input_channels;
}

static inline size_t tosaic_rounded(size_t window) { return (window + 3) & ~(size_t)3; }

/* Whether the window of each output element lies in the input as it is. */
static inline bool tosaic_is_pointwise(const tosaic_conv *p) {
  return p->kernel_height == 1 && p->kernel_width == 1 && p->pad_top == 0 && p->pad_left == 0 &&
         (p->output_height - 1) * p->stride_y < p->input_height &&
         (p->output_width - 1) * p->stride_x < p->input_width;
}

/* Inputs less their zero point have to fit 16 bits. */
static inline bool tosaic_dsp_takes(const tosaic_conv *p) {
  return p->weight_zp == 0 && p->input_zp >= INT8_MIN && p->input_zp <= INT8_MAX &&
         p->output_channels <= TOSAIC_DSP_LIMIT && p->input_channels <= TOSAIC_DSP_LIMIT &&
         (int64_t)p->kernel_height * p->kernel_width * p->input_channels <= TOSAIC_DSP_LIMIT;
}

#endif
