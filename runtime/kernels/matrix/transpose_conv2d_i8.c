/* TRANSPOSE_CONV2D of int8: for each place within the stride a CONV2D, whose filters are every
 * stride-th tap, backwards, in scratch memory.
 */
#include <string.h>

#include "../reference/convolution.h"
#include "matrix.h"
#include "windows.h"

/* For what the matrix form does not take. */
static TOSAIC_CONVOLUTION(TOSAIC_TRANSPOSE_CONV, transpose_conv2d_i8_portable, TOSAIC_TYPES_I8)

    /* One dimension of such a convolution: outputs from `first` on, taps from `tap` on. */
    typedef struct phase {
  int32_t first, outputs, tap, taps, pad;
} phase;

/* Input i reaches output `at` through tap at - pad - i * stride. */
static inline phase phase_of(int32_t first, int32_t stride, int32_t pad, int32_t kernel,
                             int32_t outputs) {
  const int32_t from = first - pad;
  const int32_t tap = ((from % stride) + stride) % stride;
  const int32_t taps = tap < kernel ? (kernel - tap + stride - 1) / stride : 0;
  return (phase){.first = first,
                 .outputs = (outputs - first + stride - 1) / stride,
                 .tap = tap,
                 .taps = taps,
                 .pad = tosaic_max(taps, 1) - 1 - (from - tap) / stride};
}

typedef struct target {
  const tosaic_matrix *m;
  const tosaic_conv *conv;
  phase y, x;
} target;

/* Windows of neighbours in a line of the phase, whose outputs are a stride apart. */
static void multiply_windows(const void *context, const void *x, size_t step, size_t count,
                             size_t element) {
  const target *t = (const target *)context;
  const tosaic_conv *p = t->conv;
  const size_t outputs = (size_t)t->x.outputs, lines = (size_t)t->y.outputs;
  const int8_t *window = (const int8_t *)x;
  while (count) {
    const size_t line = element / outputs, column = element % outputs;
    const size_t fitting = outputs - column < count ? outputs - column : count;
    const size_t oy = line / lines * (size_t)p->output_height + (size_t)t->y.first +
                      line % lines * (size_t)p->stride_y;
    const size_t ox = (size_t)t->x.first + column * (size_t)p->stride_x;
    tosaic_matrix_run(t->m, window, step, fitting, (oy * (size_t)p->output_width + ox) * t->m->all,
                      (size_t)p->stride_x * t->m->all, NULL);
    window += fitting * step;
    element += fitting;
    count -= fitting;
  }
}

/* `count` filters from number `first` on, with the taps of a phase; without any one of zeros. Not
 * inline, for the stack.
 */
static __attribute__((noinline)) void pack(const tosaic_conv *p, phase y, phase x,
                                           const int8_t *weight, size_t first, size_t count,
                                           int8_t *to) {
  const ptrdiff_t pixel = p->input_channels, row = p->kernel_width * pixel;
  const ptrdiff_t filter = p->kernel_height * row;
  if (y.taps == 0 || x.taps == 0) {
    memset(to, 0, count * (size_t)(tosaic_max(y.taps, 1) * tosaic_max(x.taps, 1) * pixel));
    return;
  }
  const tosaic_copy backwards = {
      .rank = 4,
      .element_size = 1,
      .size = {count, (size_t)y.taps, (size_t)x.taps, (size_t)pixel},
      .input_stride = {filter, -p->stride_y * row, -p->stride_x * pixel, 1},
      .output_stride = {y.taps * x.taps * pixel, x.taps * pixel, pixel, 1}};
  tosaic_copy_strided(&backwards,
                      weight + (ptrdiff_t)first * filter +
                          (y.tap + (y.taps - 1) * p->stride_y) * row +
                          (x.tap + (x.taps - 1) * p->stride_x) * pixel,
                      to);
}

static __attribute__((noinline)) void run_phase(const tosaic_conv *p, phase y, phase x,
                                                const int8_t *input, const int8_t *weight,
                                                const int32_t *bias, const tosaic_rescale *rescale,
                                                void *output, void *scratch) {
  const size_t largest = tosaic_largest_phase(p), all = (size_t)p->output_channels;
  const size_t part = tosaic_copied_filters(all, largest);
  int8_t *const filters = (int8_t *)scratch + tosaic_matrix_bytes(part, largest);
  int8_t *const columns = filters + tosaic_padded(part * largest);
  tosaic_conv conv = *p;
  conv.output_height = y.outputs;
  conv.output_width = x.outputs;
  conv.kernel_height = tosaic_max(y.taps, 1);
  conv.kernel_width = tosaic_max(x.taps, 1);
  conv.stride_y = conv.stride_x = 1;
  conv.pad_top = y.pad;
  conv.pad_left = x.pad;
  tosaic_matrix m;
  tosaic_matrix_init(&m, tosaic_window(&conv), all, p->input_zp, rescale, output, scratch);
  const target target = {&m, p, y, x};
  for (size_t parts = (all + part - 1) / part; parts > 0; parts--) {
    const size_t first = (parts - 1) * part, count = all - first < part ? all - first : part;
    pack(p, y, x, weight, first, count, filters);
    tosaic_matrix_prepare(&m, filters, first, count, bias, p->bias_channels == 1 ? 0 : 1);
    tosaic_each_window(&conv, 1, input, columns, tosaic_columns(largest), multiply_windows,
                       &target);
  }
}

void tosaic_transpose_conv2d_i8(const tosaic_conv *p, const int8_t *input, const int8_t *weight,
                                const int32_t *bias, const tosaic_rescale *rescale, void *output,
                                void *scratch) {
  if (!tosaic_takes_i8(p)) {
    tosaic_transpose_conv2d_i8_portable(p, input, weight, bias, rescale, output, scratch);
    return;
  }
  for (int32_t y = 0; y < tosaic_min(p->stride_y, p->output_height); y++)
    for (int32_t x = 0; x < tosaic_min(p->stride_x, p->output_width); x++)
      run_phase(p, phase_of(y, p->stride_y, p->pad_top, p->kernel_height, p->output_height),
                phase_of(x, p->stride_x, p->pad_left, p->kernel_width, p->output_width), input,
                weight, bias, rescale, output, scratch);
}
