/* MUL, and TABLE of int16: the inside of quantised norms, softmaxes and gates. */
#include "elementwise.h"

/* TABLE of int16: 7 fractional bits between 513 entries. */
static int32_t interpolated(const int16_t *table, int32_t value) {
  const int32_t index = (value >> 7) + 256, fraction = value & 127;
  return table[index] * 128 + (table[index + 1] - table[index]) * fraction;
}

UNARY(table_i16, int16_t, int32_t, interpolated((const int16_t *)argument, a))

static int32_t product(const void *argument, int32_t a, int32_t b) {
  const uint32_t shift = *(const uint8_t *)argument & 63U;
  const uint64_t round = (UINT64_C(1) << shift) >> 1;
  return (int32_t)((int64_t)((uint64_t)((int64_t)a * b) + round) >> shift);
}

BINARY(mul_i8, int8_t, int32_t, a *b)
BINARY(mul_i16, int16_t, int32_t, a *b)
BINARY(mul_i32, int32_t, int32_t, product(argument, a, b))
