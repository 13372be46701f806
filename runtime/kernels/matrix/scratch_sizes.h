/* The _scratch functions of the kernels in this folder, for the scratch.c of a set. */
#include "scratch.h"

size_t tosaic_conv2d_i8_scratch(const tosaic_conv *p) {
  if (!tosaic_takes_i8(p)) return 0;
  return tosaic_matrix_bytes(tosaic_filters_at_once(p), tosaic_window(p)) +
         tosaic_gathered_bytes(p, 1);
}

size_t tosaic_conv2d_i8_i4_scratch(const tosaic_conv *p) {
  if (!tosaic_takes_i8(p)) return 0;
  const size_t window = tosaic_window(p);
  const size_t filters = tosaic_copied_filters((size_t)p->output_channels, window);
  return tosaic_matrix_bytes(filters, window) + tosaic_padded(filters * window) +
         tosaic_gathered_bytes(p, 1);
}

size_t tosaic_conv2d_i16_scratch(const tosaic_conv *p) {
  if (!tosaic_takes_i16(p)) return 0;
  return tosaic_wide_bytes(tosaic_window(p)) + tosaic_gathered_bytes(p, sizeof(int16_t));
}

size_t tosaic_depthwise_conv2d_i8_i4_scratch(const tosaic_conv *p) {
  if (!tosaic_takes_i8(p)) return 0;
  const size_t taps = (size_t)p->kernel_height * (size_t)p->kernel_width;
  return tosaic_padded(taps * (size_t)p->output_channels) + tosaic_depthwise_conv2d_i8_scratch(p);
}

size_t tosaic_depthwise_conv2d_i16_scratch(const tosaic_conv *p) {
  if (!tosaic_takes_i16(p)) return 0;
  return tosaic_padded(sizeof(int32_t) * (size_t)p->output_channels);
}

size_t tosaic_transpose_conv2d_i8_scratch(const tosaic_conv *p) {
  if (!tosaic_takes_i8(p)) return 0;
  const size_t window = tosaic_largest_phase(p);
  const size_t filters = tosaic_copied_filters((size_t)p->output_channels, window);
  return tosaic_matrix_bytes(filters, window) + tosaic_padded(filters * window) +
         tosaic_padded(tosaic_columns(window) * window);
}

size_t tosaic_matmul_i8_scratch(const tosaic_matmul *p) {
  if (!tosaic_takes_matmul(p, false) || tosaic_goes_by_rows(p)) return 0;
  const size_t window = (size_t)p->channels;
  const size_t columns = tosaic_copied_filters((size_t)p->width, window);
  return tosaic_matrix_bytes(columns, window) + tosaic_padded(columns * window);
}

size_t tosaic_matmul_i16_scratch(const tosaic_matmul *p) {
  if (!tosaic_takes_matmul(p, true)) return 0;
  const size_t bytes = sizeof(int16_t) * (size_t)p->channels;
  return tosaic_padded(tosaic_copied_filters((size_t)p->width, bytes) * bytes);
}
