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

/* Of float32, where the library is built with TOSAIC_FLOAT. */
#define TOSAIC_FOR_EACH_FLOAT_OPERATOR(X) \
  X(abs_f32)                              \
  X(add_f32)                              \
  X(argmax_f32)                           \
  X(avg_pool2d_f32)                       \
  X(cast_f32_i8)                          \
  X(cast_f32_i16)                         \
  X(cast_f32_i32)                         \
  X(cast_i8_f32)                          \
  X(cast_i16_f32)                         \
  X(cast_i32_f32)                         \
  X(ceil_f32)                             \
  X(clamp_f32)                            \
  X(conv2d_f32)                           \
  X(conv3d_f32)                           \
  X(cos_f32)                              \
  X(depthwise_conv2d_f32)                 \
  X(equal_f32)                            \
  X(erf_f32)                              \
  X(exp_f32)                              \
  X(fft2d_f32)                            \
  X(floor_f32)                            \
  X(greater_equal_f32)                    \
  X(greater_f32)                          \
  X(log_f32)                              \
  X(matmul_f32)                           \
  X(max_pool2d_f32)                       \
  X(maximum_f32)                          \
  X(minimum_f32)                          \
  X(mul_f32)                              \
  X(negate_f32)                           \
  X(pow_f32)                              \
  X(reciprocal_f32)                       \
  X(reduce_max_f32)                       \
  X(reduce_min_f32)                       \
  X(reduce_product_f32)                   \
  X(reduce_sum_f32)                       \
  X(resize_f32)                           \
  X(rfft2d_f32)                           \
  X(rsqrt_f32)                            \
  X(select_f32)                           \
  X(sigmoid_f32)                          \
  X(sin_f32)                              \
  X(sub_f32)                              \
  X(tanh_f32)                             \
  X(transpose_conv2d_f32)

#define TOSAIC_FOR_EACH_INTEGER_OPERATOR(X)      \
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

#if TOSAIC_FLOAT
#define TOSAIC_FOR_EACH_OPERATOR(X) \
  TOSAIC_FOR_EACH_INTEGER_OPERATOR(X) TOSAIC_FOR_EACH_FLOAT_OPERATOR(X)
#else
#define TOSAIC_FOR_EACH_OPERATOR(X) TOSAIC_FOR_EACH_INTEGER_OPERATOR(X)
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define TOSAIC_DECLARE(NAME) extern const tosaic_operator tosaic_op_##NAME;
TOSAIC_FOR_EACH_INTEGER_OPERATOR(TOSAIC_DECLARE)
TOSAIC_FOR_EACH_FLOAT_OPERATOR(TOSAIC_DECLARE)
#undef TOSAIC_DECLARE

#ifdef __cplusplus
}
#endif

#endif
