/* ADD, SUB, MAXIMUM and MINIMUM of int32, and TABLE of int8, which goes by words. */
#include "dsp.h"
#include "rows.h"

BINARY_ROW(add_i32, int32_t, int32_t, tosaic_wrap_add)
BINARY_ROW(sub_i32, int32_t, int32_t, tosaic_wrap_sub)
BINARY_ROW(maximum_i32, int32_t, int32_t, tosaic_max)
BINARY_ROW(minimum_i32, int32_t, int32_t, tosaic_min)

void tosaic_table_i8(size_t n, const void *const inputs[], const size_t steps[], void *output,
                     const void *argument) {
  const int8_t *x = (const int8_t *)inputs[0];
  const uint8_t *table = (const uint8_t *)argument;
  int8_t *y = (int8_t *)output;
  if (steps[0] == 1) {
    for (; n >= 4; n -= 4, x += 4, y += 4) {
      const uint32_t word = load_word(x) ^ 0x80808080U; /* x + 128 as unsigned */
      const uint32_t low = table[word & 255U] | (uint32_t)table[word >> 8 & 255U] << 8;
      const uint32_t high = table[word >> 16 & 255U] | (uint32_t)table[word >> 24] << 8;
      const uint32_t four = low | high << 16;
      memcpy(y, &four, sizeof(four));
    }
  }
  for (size_t k = 0; k < n; k++) y[k] = (int8_t)table[x[k * steps[0]] + 128];
}
