/* CONV2D of int8 as products of matrices, some of the filters at a time. */
#ifndef TOSAIC_MATRIX_CONV2D_BY_PARTS_H
#define TOSAIC_MATRIX_CONV2D_BY_PARTS_H

#include "matrix.h"
#include "windows.h"

static void multiply_windows(const void *context, const void *x, size_t step, size_t count,
                             size_t element) {
  const tosaic_matrix *m = (const tosaic_matrix *)context;
  tosaic_matrix_run(m, (const int8_t *)x, step, count, element * m->all, m->all, NULL);
}

/* `part` filters at a time, from the last ones to the first as tosaic_matrix_prepare asks for.
 * `unpack` makes int8 of filters in scratch memory, unless they are that already.
 */
static inline void conv2d_by_parts(const tosaic_conv *p, const int8_t *input, const void *weight,
                                   void (*unpack)(const void *weight, size_t first, size_t count,
                                                  int8_t *to),
                                   size_t part, const int32_t *bias, const tosaic_rescale *rescale,
                                   void *output, void *scratch) {
  const size_t window = tosaic_window(p), all = (size_t)p->output_channels;
  int8_t *const unpacked = (int8_t *)scratch + tosaic_matrix_bytes(part, window);
  int8_t *const columns = unpacked + (unpack ? tosaic_padded(part * window) : 0);
  tosaic_matrix m;
  tosaic_matrix_init(&m, window, all, p->input_zp, rescale, output, scratch);
  for (size_t parts = (all + part - 1) / part; parts > 0; parts--) {
    const size_t first = (parts - 1) * part, count = all - first < part ? all - first : part;
    const int8_t *filters = (const int8_t *)weight + first * window;
    if (unpack) {
      unpack(weight, first * window, count * window, unpacked);
      filters = unpacked;
    }
    tosaic_matrix_prepare(&m, filters, first, count, bias, p->bias_channels == 1 ? 0 : 1);
    tosaic_each_window(p, 1, input, columns, tosaic_columns(window), multiply_windows, &m);
  }
}

#endif
