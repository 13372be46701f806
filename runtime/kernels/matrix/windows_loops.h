/* The loops of windows.h. Whoever includes this has defined
 *   static inline void copy_rows(int8_t *to, size_t to_step, const int8_t *from, size_t from_step,
 *                                size_t bytes, int32_t rows)
 *   static inline void fill(int8_t *to, int32_t value, size_t bytes)
 * and included the scratch.h of its set.
 */
#include "../reference/convolution.h"
#include "windows.h"

/* The window of an output element; `pixel` is the bytes of all channels. */
static void gather(const tosaic_conv *p, size_t pixel, const int8_t *input, tosaic_taps y,
                   tosaic_taps x, int8_t *column) {
  const size_t row = (size_t)p->kernel_width * pixel;
  const size_t line = (size_t)p->dilation_y * (size_t)p->input_width * pixel;
  const int32_t columns = x.end - x.first, rows = y.end - y.first;
  if (columns < p->kernel_width || rows < p->kernel_height)
    fill(column, p->input_zp, (size_t)p->kernel_height * row);
  column += (size_t)y.first * row + (size_t)x.first * pixel;
  input += ((size_t)(y.origin + y.first * p->dilation_y) * (size_t)p->input_width +
            (size_t)(x.origin + x.first * p->dilation_x)) *
           pixel;
  if (p->dilation_x == 1) {
    copy_rows(column, row, input, line, (size_t)columns * pixel, rows);
    return;
  }
  for (int32_t ky = 0; ky < rows; ky++, column += row, input += line)
    copy_rows(column, pixel, input, (size_t)p->dilation_x * pixel, pixel, columns);
}

static inline void each_in_place(const tosaic_conv *p, size_t pixel, const int8_t *input,
                                 tosaic_take_windows *take, const void *context) {
  const size_t line = (size_t)p->input_width * pixel, width = (size_t)p->output_width;
  const size_t lines = (size_t)p->batches * (size_t)p->output_height;
  if (p->output_width == p->input_width && p->output_height == p->input_height) {
    take(context, input, pixel, lines * width, 0);
    return;
  }
  size_t element = 0;
  for (int32_t n = 0; n < p->batches; n++, input += (size_t)p->input_height * line)
    for (int32_t oy = 0; oy < p->output_height; oy++, element += width)
      take(context, input + (size_t)(oy * p->stride_y) * line, (size_t)p->stride_x * pixel, width,
           element);
}

static inline void each_gathered(const tosaic_conv *p, size_t pixel, const int8_t *input,
                                 int8_t *columns, size_t at_once, tosaic_take_windows *take,
                                 const void *context) {
  const size_t line = (size_t)p->input_width * pixel, row = (size_t)p->kernel_width * pixel;
  const size_t window = (size_t)p->kernel_height * row;
  size_t element = 0, gathered = 0;
  for (int32_t n = 0; n < p->batches; n++, input += (size_t)p->input_height * line)
    for (int32_t oy = 0; oy < p->output_height; oy++) {
      const tosaic_taps y =
          taps_of(oy, p->stride_y, p->pad_top, p->dilation_y, p->kernel_height, p->input_height);
      const bool all_rows = y.end - y.first == p->kernel_height && p->dilation_x == 1;
      for (int32_t ox = 0; ox < p->output_width; ox++) {
        int8_t *column = columns + gathered * window;
        const int32_t origin = ox * p->stride_x - p->pad_left;
        if (all_rows && origin >= 0 && origin + p->kernel_width <= p->input_width) {
          copy_rows(column, row, input + (size_t)y.origin * line + (size_t)origin * pixel,
                    (size_t)p->dilation_y * line, row, p->kernel_height);
        } else {
          gather(
              p, pixel, input, y,
              taps_of(ox, p->stride_x, p->pad_left, p->dilation_x, p->kernel_width, p->input_width),
              column);
        }
        if (++gathered == at_once) {
          take(context, columns, window, gathered, element);
          element += gathered;
          gathered = 0;
        }
      }
    }
  if (gathered) take(context, columns, window, gathered, element);
}

void tosaic_each_window(const tosaic_conv *p, size_t element_size, const void *input, void *columns,
                        size_t at_once, tosaic_take_windows *take, const void *context) {
  const size_t pixel = (size_t)p->input_channels * element_size;
  if (tosaic_is_pointwise(p)) {
    each_in_place(p, pixel, (const int8_t *)input, take, context);
  } else {
    each_gathered(p, pixel, (const int8_t *)input, (int8_t *)columns, at_once, take, context);
  }
}
