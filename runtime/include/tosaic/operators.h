/* The names of all operators, for a tosaic_operator_table of those that a model uses:
 *
 *   static const tosaic_operator *const entries[] = {&tosaic_op_conv2d_i8, &tosaic_op_reshape};
 *   static const tosaic_operator_table operators = {entries, 2};
 *
 * Without a plan, RESCALE and CLAMP are needed also where they run fused with the operator in front
 * of them.
 */
#ifndef TOSAIC_OPERATORS_H
#define TOSAIC_OPERATORS_H

#include "tosaic/runtime.h"

#define TOSAIC_FOR_INTEGERS(X, NAME) X(NAME##_i8) X(NAME##_i16) X(NAME##_i32)
#define TOSAIC_FOR_WEIGHTED(X, NAME) X(NAME##_i8) X(NAME##_i8_i4) X(NAME##_i16)

#define TOSAIC_FOR_EACH_OPERATOR(X)              \
  X(abs_i32)                                     \
  X(add_i32)                                     \
  X(argmax_i8)                                   \
  X(argmax_i16)                                  \
  TOSAIC_FOR_INTEGERS(X, arithmetic_right_shift) \
  X(avg_pool2d_i8)                               \
  X(avg_pool2d_i16)                              \
  TOSAIC_FOR_INTEGERS(X, bitwise_and)            \
  TOSAIC_FOR_INTEGERS(X, bitwise_not)            \
  TOSAIC_FOR_INTEGERS(X, bitwise_or)             \
  TOSAIC_FOR_INTEGERS(X, bitwise_xor)            \
  TOSAIC_FOR_INTEGERS(X, cast_bool)              \
  X(cast_i8_bool)                                \
  X(cast_i8_i16)                                 \
  X(cast_i8_i32)                                 \
  X(cast_i16_bool)                               \
  X(cast_i16_i8)                                 \
  X(cast_i16_i32)                                \
  X(cast_i32_bool)                               \
  X(cast_i32_i8)                                 \
  X(cast_i32_i16)                                \
  X(clamp_i8)                                    \
  X(clamp_i16)                                   \
  X(clz_i32)                                     \
  X(concat)                                      \
  X(cond_if)                                     \
  TOSAIC_FOR_WEIGHTED(X, conv2d)                 \
  TOSAIC_FOR_WEIGHTED(X, conv3d)                 \
  X(custom)                                      \
  TOSAIC_FOR_WEIGHTED(X, depthwise_conv2d)       \
  X(equal_i32)                                   \
  X(gather)                                      \
  X(greater_equal_i32)                           \
  X(greater_i32)                                 \
  X(identity)                                    \
  X(intdiv_i32)                                  \
  X(logical_and)                                 \
  TOSAIC_FOR_INTEGERS(X, logical_left_shift)     \
  X(logical_not)                                 \
  X(logical_or)                                  \
  TOSAIC_FOR_INTEGERS(X, logical_right_shift)    \
  X(logical_xor)                                 \
  X(matmul_i8)                                   \
  X(matmul_i16)                                  \
  X(max_pool2d_i8)                               \
  X(max_pool2d_i16)                              \
  X(maximum_i32)                                 \
  X(minimum_i32)                                 \
  TOSAIC_FOR_INTEGERS(X, mul)                    \
  TOSAIC_FOR_INTEGERS(X, negate)                 \
  X(pad)                                         \
  X(reduce_all)                                  \
  X(reduce_any)                                  \
  TOSAIC_FOR_INTEGERS(X, reduce_max)             \
  TOSAIC_FOR_INTEGERS(X, reduce_min)             \
  X(reduce_sum_i32)                              \
  X(rescale)                                     \
  X(reshape)                                     \
  X(resize_i8)                                   \
  X(resize_i16)                                  \
  X(reverse)                                     \
  X(scatter)                                     \
  TOSAIC_FOR_INTEGERS(X, select)                 \
  X(select_bool)                                 \
  X(slice)                                       \
  X(sub_i32)                                     \
  X(table_i8)                                    \
  X(table_i16)                                   \
  X(tile)                                        \
  TOSAIC_FOR_WEIGHTED(X, transpose_conv2d)       \
  X(transpose)                                   \
  X(variable)                                    \
  X(variable_read)                               \
  X(variable_write)                              \
  X(while_loop)

#ifdef __cplusplus
extern "C" {
#endif

#define TOSAIC_DECLARE(NAME) extern const tosaic_operator tosaic_op_##NAME;
TOSAIC_FOR_EACH_OPERATOR(TOSAIC_DECLARE)
#undef TOSAIC_DECLARE

#ifdef __cplusplus
}
#endif

#endif
