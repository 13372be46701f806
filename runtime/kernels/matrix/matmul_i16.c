/* MATMUL of int16: some columns of b at a time, transposed into scratch memory, are the filters of
 * the rows of a.
 */
#include "../reference/matmul.h"
#include "columns.h"
#include "matrix.h"
#include "wide.h"

/* For zero points, which TOSA does not have here. */
static MATMUL(i16_portable, int16_t, uint64_t, PRODUCT_I16, STORE_I48)

    void tosaic_matmul_i16(const tosaic_matmul *p, const int16_t *a, const int16_t *b,
                           const tosaic_rescale *rescale, void *output, void *scratch) {
  if (!tosaic_takes_matmul(p, true)) {
    tosaic_matmul_i16_portable(p, a, b, rescale, output, scratch);
    return;
  }
  const size_t height = (size_t)p->height, width = (size_t)p->width;
  const size_t channels = (size_t)p->channels;
  const size_t part = tosaic_copied_filters(width, sizeof(int16_t) * channels);
  const tosaic_wide_output stage = wide_output_of(rescale, width, output);
  int16_t *const columns = (int16_t *)scratch;
  size_t index = 0;
  for (int32_t n = 0; n < p->batches; n++) {
    for (size_t first = 0; first < width; first += part) {
      const size_t count = width - first < part ? width - first : part;
      columns_as_rows(channels, width, count, sizeof(int16_t), b + first, columns);
      for (size_t h = 0; h < height; h++)
        for (size_t c = 0; c < count; c += 4) {
          const size_t left = count - c;
          const int16_t *four[4];
          int64_t sums[4];
          for (size_t k = 0; k < 4; k++)
            four[k] = columns + c * channels + filter_behind(k, left, channels);
          tosaic_products_i16(a + h * channels, four, channels, sums);
          tosaic_store_wide(&stage, sums, first + c, left < 4 ? left : 4,
                            index + h * width + first + c);
        }
    }
    a += height * channels;
    b += channels * width;
    index += height * width;
  }
}
