/* MUL, and TABLE of int16. */
#include "dsp.h"
#include "rows.h"

BINARY_ROW(mul_i8, int8_t, int32_t, tosaic_wrap_mul)
BINARY_ROW(mul_i16, int16_t, int32_t, tosaic_wrap_mul)

static BINARY_ROW(mul_i32_low, int32_t, int32_t, tosaic_wrap_mul)

    void tosaic_mul_i32(size_t n, const void *const inputs[], const size_t steps[], void *output,
                        const void *argument) {
  const int32_t *a = (const int32_t *)inputs[0], *b = (const int32_t *)inputs[1];
  const size_t a_step = steps[0], b_step = steps[1];
  const uint32_t shift = *(const uint8_t *)argument & 63U;
  if (shift == 0) {
    tosaic_mul_i32_low(n, inputs, steps, output, NULL);
    return;
  }
  const uint64_t round = UINT64_C(1) << (shift - 1);
  int32_t *y = (int32_t *)output;
  for (size_t k = 0; k < n; k++, a += a_step, b += b_step)
    y[k] = (int32_t)((int64_t)((uint64_t)((int64_t)*a * *b) + round) >> shift);
}

/* 7 fractional bits between 513 entries: two of them by their weights at once. */
void tosaic_table_i16(size_t n, const void *const inputs[], const size_t steps[], void *output,
                      const void *argument) {
  const int16_t *x = (const int16_t *)inputs[0], *table = (const int16_t *)argument + 256;
  const size_t step = steps[0];
  int32_t *y = (int32_t *)output;
  for (size_t k = 0; k < n; k++, x += step) {
    const int32_t value = *x, fraction = value & 127;
    const int32_t weights = 128 + fraction * 0xffff; /* 128 - fraction, and fraction */
    y[k] = __smuad((int32_t)load_pair(table + (value >> 7)), weights);
  }
}
