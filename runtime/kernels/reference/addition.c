/* ADD, SUB, MAXIMUM and MINIMUM of int32, and TABLE of int8: what quantised programs do most. */
#include "elementwise.h"

BINARY(add_i32, int32_t, int32_t, tosaic_wrap_add(a, b))
BINARY(sub_i32, int32_t, int32_t, tosaic_wrap_sub(a, b))
BINARY(maximum_i32, int32_t, int32_t, tosaic_max(a, b))
BINARY(minimum_i32, int32_t, int32_t, tosaic_min(a, b))
UNARY(table_i8, int8_t, int8_t, ((const int8_t *)argument)[a + 128])
