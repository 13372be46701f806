#include "elementwise.h"

#define INTEGERS(DEFINE, NAME, EXPRESSION)         \
  DEFINE(NAME##_i8, int8_t, int8_t, EXPRESSION)    \
  DEFINE(NAME##_i16, int16_t, int16_t, EXPRESSION) \
  DEFINE(NAME##_i32, int32_t, int32_t, EXPRESSION)

static int32_t leading_zeros(uint32_t value) {
  int32_t count = 32;
  for (int32_t shift = 16; shift > 0; shift /= 2) {
    if (value >> shift == 0) continue;
    value >>= shift;
    count -= shift;
  }
  return count - (int32_t)value; /* which is 0 or 1 */
}

UNARY(abs_i32, int32_t, int32_t, a < 0 ? tosaic_wrap_sub(0, a) : a)
UNARY(clz_i32, int32_t, int32_t, leading_zeros((uint32_t)a))
UNARY(logical_not, uint8_t, uint8_t, !a)
INTEGERS(UNARY, bitwise_not, ~a)

static int64_t negated(const void *argument, int32_t value) {
  const tosaic_negate *p = (const tosaic_negate *)argument;
  return (int64_t)p->output_zp - ((int64_t)value - p->input_zp);
}

UNARY(negate_i8, int8_t, int8_t, tosaic_clamped(negated(argument, a), INT8_MIN, INT8_MAX))
UNARY(negate_i16, int16_t, int16_t, tosaic_clamped(negated(argument, a), INT16_MIN, INT16_MAX))
UNARY(negate_i32, int32_t, int32_t, tosaic_clamped(negated(argument, a), INT32_MIN, INT32_MAX))

static int32_t limited(const void *argument, int32_t value) {
  const tosaic_clamp *p = (const tosaic_clamp *)argument;
  return tosaic_clamped(value, p->min, p->max);
}

UNARY(clamp_i8, int8_t, int8_t, limited(argument, a))
UNARY(clamp_i16, int16_t, int16_t, limited(argument, a))

UNARY(cast_bool_i8, uint8_t, int8_t, a != 0)
UNARY(cast_bool_i16, uint8_t, int16_t, a != 0)
UNARY(cast_bool_i32, uint8_t, int32_t, a != 0)
UNARY(cast_i8_bool, int8_t, uint8_t, a != 0)
UNARY(cast_i16_bool, int16_t, uint8_t, a != 0)
UNARY(cast_i32_bool, int32_t, uint8_t, a != 0)
UNARY(cast_i8_i16, int8_t, int16_t, a)
UNARY(cast_i8_i32, int8_t, int32_t, a)
UNARY(cast_i16_i8, int16_t, int8_t, a)
UNARY(cast_i16_i32, int16_t, int32_t, a)
UNARY(cast_i32_i8, int32_t, int8_t, a)
UNARY(cast_i32_i16, int32_t, int16_t, a)

BINARY(intdiv_i32, int32_t, int32_t, b == 0 ? 0 : b == -1 ? tosaic_wrap_sub(0, a) : a / b)
INTEGERS(BINARY, bitwise_and, a &b)
INTEGERS(BINARY, bitwise_or, a | b)
INTEGERS(BINARY, bitwise_xor, a ^ b)
BINARY(logical_and, uint8_t, uint8_t, a &&b)
BINARY(logical_or, uint8_t, uint8_t, a || b)
BINARY(logical_xor, uint8_t, uint8_t, !a != !b)

BINARY(logical_left_shift_i8, int8_t, int8_t, (uint32_t)a << (b & 7))
BINARY(logical_left_shift_i16, int16_t, int16_t, (uint32_t)a << (b & 15))
BINARY(logical_left_shift_i32, int32_t, int32_t, (uint32_t)a << (b & 31))
BINARY(logical_right_shift_i8, int8_t, int8_t, (uint8_t)a >> (b & 7))
BINARY(logical_right_shift_i16, int16_t, int16_t, (uint16_t)a >> (b & 15))
BINARY(logical_right_shift_i32, int32_t, int32_t, (uint32_t)a >> (b & 31))

static int32_t right_shifted(const void *argument, int32_t value, int32_t shift) {
  const int32_t up = *(const bool *)argument && shift > 0 ? (value >> (shift - 1)) & 1 : 0;
  return (value >> shift) + up;
}

BINARY(arithmetic_right_shift_i8, int8_t, int8_t, right_shifted(argument, a, b & 7))
BINARY(arithmetic_right_shift_i16, int16_t, int16_t, right_shifted(argument, a, b & 15))
BINARY(arithmetic_right_shift_i32, int32_t, int32_t, right_shifted(argument, a, b & 31))

BINARY(equal_i32, int32_t, uint8_t, a == b)
BINARY(greater_i32, int32_t, uint8_t, a > b)
BINARY(greater_equal_i32, int32_t, uint8_t, a >= b)

#define SELECT(BITS)                                                                    \
  void tosaic_select_##BITS(size_t n, const void *const inputs[], const size_t steps[], \
                            void *output, const void *argument) {                       \
    const uint8_t *condition = (const uint8_t *)inputs[0];                              \
    const uint##BITS##_t *a = (const uint##BITS##_t *)inputs[1];                        \
    const uint##BITS##_t *b = (const uint##BITS##_t *)inputs[2];                        \
    uint##BITS##_t *y = (uint##BITS##_t *)output;                                       \
    (void)argument;                                                                     \
    for (size_t k = 0; k < n; k++)                                                      \
      y[k] = condition[k * steps[0]] ? a[k * steps[1]] : b[k * steps[2]];               \
  }

SELECT(8)
SELECT(16)
SELECT(32)
