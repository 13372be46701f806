/* MATMUL of int8: some columns of b at a time, transposed into scratch memory, are the filters of
 * the rows of a.
 *
 * sum((a - a_zp) * (b - b_zp)) = sum((a - a_zp) * b) - b_zp * sum(a) + channels * a_zp * b_zp; what
 * depends on the row of a is a shift of its sums.
 */
#include "../reference/matmul.h"
#include "columns.h"
#include "matrix.h"

/* For what the matrix form does not take. */
static MATMUL(i8_portable, int8_t, uint32_t, PRODUCT_I8, STORE_I32)

    /* Rows whose sums are made at a time. */
    enum {
      ROWS = 16
    };

/* One batch without a transposition; a shift is as above. Not inline, for the stack. */
static __attribute__((noinline)) void multiply_by_rows(const tosaic_matmul *p, const int8_t *a,
                                                       const int8_t *b,
                                                       const tosaic_rescale *rescale, void *output,
                                                       size_t index) {
  const size_t width = (size_t)p->width, channels = (size_t)p->channels;
  const int32_t constant = tosaic_wrap_mul(p->channels, p->a_zp);
  for (int32_t h = 0; h < p->height; h++, a += channels, index += width)
    for (size_t first = 0; first < width; first += TOSAIC_ROW_COLUMNS) {
      const size_t left = width - first;
      const size_t count = left < TOSAIC_ROW_COLUMNS ? left : TOSAIC_ROW_COLUMNS;
      const int32_t shift =
          tosaic_wrap_mul(p->b_zp, tosaic_wrap_sub(constant, tosaic_sum_i8(a, channels)));
      int32_t sums[TOSAIC_ROW_COLUMNS];
      for (size_t k = 0; k < count; k++) sums[k] = shift;
      if (width == 1) {
        const int32_t products = tosaic_dot_i8(a, b, channels);
        const int32_t less = tosaic_wrap_mul(p->a_zp, tosaic_sum_i8(b, channels));
        sums[0] = tosaic_wrap_add(shift, tosaic_wrap_sub(products, less));
      } else {
        tosaic_row_by_columns(a, p->a_zp, b + first, width, channels, count, sums);
      }
      for (size_t k = 0; k < count; k++)
        tosaic_store_i32_sum(rescale, sums[k], first + k, output, index + first + k);
    }
}

void tosaic_matmul_i8(const tosaic_matmul *p, const int8_t *a, const int8_t *b,
                      const tosaic_rescale *rescale, void *output, void *scratch) {
  if (!tosaic_takes_matmul(p, false)) {
    tosaic_matmul_i8_portable(p, a, b, rescale, output, scratch);
    return;
  }
  const size_t height = (size_t)p->height, width = (size_t)p->width;
  const size_t channels = (size_t)p->channels, part = tosaic_copied_filters(width, channels);
  const int32_t constant = tosaic_wrap_mul(p->channels, tosaic_wrap_mul(p->a_zp, p->b_zp));
  if (tosaic_goes_by_rows(p)) {
    for (int32_t n = 0; n < p->batches; n++, a += height * channels, b += channels * width)
      multiply_by_rows(p, a, b, rescale, output, (size_t)n * height * width);
    return;
  }
  int8_t *const columns = (int8_t *)scratch + tosaic_matrix_bytes(part, channels);
  tosaic_matrix m;
  tosaic_matrix_init(&m, channels, width, p->a_zp, rescale, output, scratch);
  size_t index = 0;
  for (int32_t n = 0; n < p->batches; n++, index += height * width) {
    for (size_t parts = (width + part - 1) / part; parts > 0; parts--) {
      const size_t first = (parts - 1) * part, count = width - first < part ? width - first : part;
      columns_as_rows(channels, width, count, 1, b + first, columns);
      tosaic_matrix_prepare(&m, columns, first, count, &constant, 0);
      if (p->b_zp == 0) {
        tosaic_matrix_run(&m, a, channels, height, index, width, NULL);
        continue;
      }
      for (size_t h = 0; h < height; h += ROWS) {
        const int8_t *row = a + h * channels;
        const size_t rows = height - h < ROWS ? height - h : ROWS;
        int32_t shifts[ROWS];
        for (size_t k = 0; k < rows; k++)
          shifts[k] = tosaic_wrap_mul(-p->b_zp, tosaic_sum_i8(row + k * channels, channels));
        tosaic_matrix_run(&m, row, channels, rows, index + h * width, width, shifts);
      }
    }
    a += height * channels;
    b += channels * width;
  }
}
