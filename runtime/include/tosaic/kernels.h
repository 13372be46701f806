/* The kernel interface: plain C functions on raw memory, called by the interpreter.
 *
 * The reference kernels (kernels/reference/NAME.c) define every function below in portable C11. A
 * faster set for one architecture has a folder of its own, kernels/ARCH/; a file NAME.c there
 * takes the place of the reference file NAME.c when the library is built for ARCH. So each file
 * defines the same functions in every folder, and no function is chosen at run time; files with
 * other names have what the kernels of a folder share. The _scratch
 * functions of a set are all in its scratch.c, which has nothing of the architecture in it: the
 * compiler asks them on the host.
 *
 * All integer kernels are bit-exact with the TOSA 1.0 specification
 * (https://www.mlplatform.org/tosa), whose section 2 the comments name; those of float32
 * (NAME_f32.c, built with TOSAIC_FLOAT only) are within its tolerances. The caller has checked
 * shapes, types and attributes; contents of tensors may be anything. Arithmetic that TOSA leaves
 * undefined on overflow wraps here.
 *
 * Layouts are TOSA's: activations NHWC (NDHWC), weights OHWI (ODHWI), depthwise weights HWCM.
 * int4 is packed two to a byte, low nibble first; int48 is stored in 6 bytes, little endian;
 * bool is one byte, 0 or 1.
 */
#ifndef TOSAIC_KERNELS_H
#define TOSAIC_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Element types, numbered as DType in tosa.fbs. */
typedef enum tosaic_type {
  TOSAIC_BOOL = 1,
  TOSAIC_INT4 = 2,
  TOSAIC_INT8 = 3,
  TOSAIC_INT16 = 4,
  TOSAIC_INT32 = 5,
  TOSAIC_INT48 = 6,
  TOSAIC_FP32 = 7,
  TOSAIC_SHAPE = 10,
} tosaic_type;

/* RESCALE, on its own or behind an operation with a wide accumulator (RESCALE in TOSA 1.0,
 * apply_scale_32 and apply_scale_16). A value v of channel c (the index in the last dimension)
 * becomes
 *   clamp((((v - input_zp) * multiplier[c] + round) >> shift[c]) + output_zp, min, max)
 * where round is 1 << (shift - 1), and with double_round and shift > 31 also +/- 1 << 30.
 */
typedef struct tosaic_rescale {
  const int32_t *multiplier32; /* one, or one per channel; NULL where multiplier16 is set */
  const int16_t *multiplier16; /* likewise, for int48 accumulators */
  const int8_t *shift;         /* as many as multipliers; 2 to 62 */
  bool per_channel;
  bool double_round;
  int32_t input_zp;
  int32_t output_zp;
  int32_t min; /* within the range of the output type */
  int32_t max;
  tosaic_type output_type; /* INT8, INT16 or INT32 */
} tosaic_rescale;

/* CONV2D, CONV3D, DEPTHWISE_CONV2D and TRANSPOSE_CONV2D. Sizes are in elements and at least 1.
 * The depth fields are 1 (pads 0) but for CONV3D. For DEPTHWISE_CONV2D output_channels is
 * input_channels * multiplier. For TRANSPOSE_CONV2D pad_* is out_pad, dilation is 1.
 */
typedef struct tosaic_conv {
  int32_t batches;
  int32_t input_depth, input_height, input_width, input_channels;
  int32_t output_depth, output_height, output_width, output_channels;
  int32_t kernel_depth, kernel_height, kernel_width;
  int32_t stride_z, stride_y, stride_x;
  int32_t dilation_z, dilation_y, dilation_x;
  int32_t pad_front, pad_top, pad_left; /* may be negative for TRANSPOSE_CONV2D only */
  int32_t input_zp, weight_zp;
  int32_t bias_channels; /* output_channels, or 1 for a bias that all channels share */
} tosaic_conv;

/* Convolutions: output = sum((input - input_zp) * (weight - weight_zp)) + bias.
 *
 * rescale == NULL: output holds the accumulators, int32 (int48 for int16 input). Otherwise it holds
 * rescaled values of rescale->output_type, and the accumulators are never stored. The rescale's
 * input_zp is then 0, and it has multiplier16 only for int48 accumulators.
 * `scratch` has the bytes that the matching _scratch function asks for, aligned to 16.
 */
void tosaic_conv2d_i8(const tosaic_conv *conv, const int8_t *input, const int8_t *weight,
                      const int32_t *bias, const tosaic_rescale *rescale, void *output,
                      void *scratch);
void tosaic_conv2d_i8_i4(const tosaic_conv *conv, const int8_t *input, const uint8_t *weight,
                         const int32_t *bias, const tosaic_rescale *rescale, void *output,
                         void *scratch);
void tosaic_conv2d_i16(const tosaic_conv *conv, const int16_t *input, const int8_t *weight,
                       const uint8_t *bias, const tosaic_rescale *rescale, void *output,
                       void *scratch);
void tosaic_depthwise_conv2d_i8(const tosaic_conv *conv, const int8_t *input, const int8_t *weight,
                                const int32_t *bias, const tosaic_rescale *rescale, void *output,
                                void *scratch);
void tosaic_depthwise_conv2d_i8_i4(const tosaic_conv *conv, const int8_t *input,
                                   const uint8_t *weight, const int32_t *bias,
                                   const tosaic_rescale *rescale, void *output, void *scratch);
void tosaic_depthwise_conv2d_i16(const tosaic_conv *conv, const int16_t *input,
                                 const int8_t *weight, const uint8_t *bias,
                                 const tosaic_rescale *rescale, void *output, void *scratch);
void tosaic_conv3d_i8(const tosaic_conv *conv, const int8_t *input, const int8_t *weight,
                      const int32_t *bias, const tosaic_rescale *rescale, void *output,
                      void *scratch);
void tosaic_conv3d_i8_i4(const tosaic_conv *conv, const int8_t *input, const uint8_t *weight,
                         const int32_t *bias, const tosaic_rescale *rescale, void *output,
                         void *scratch);
void tosaic_conv3d_i16(const tosaic_conv *conv, const int16_t *input, const int8_t *weight,
                       const uint8_t *bias, const tosaic_rescale *rescale, void *output,
                       void *scratch);
void tosaic_transpose_conv2d_i8(const tosaic_conv *conv, const int8_t *input, const int8_t *weight,
                                const int32_t *bias, const tosaic_rescale *rescale, void *output,
                                void *scratch);
void tosaic_transpose_conv2d_i8_i4(const tosaic_conv *conv, const int8_t *input,
                                   const uint8_t *weight, const int32_t *bias,
                                   const tosaic_rescale *rescale, void *output, void *scratch);
void tosaic_transpose_conv2d_i16(const tosaic_conv *conv, const int16_t *input,
                                 const int8_t *weight, const uint8_t *bias,
                                 const tosaic_rescale *rescale, void *output, void *scratch);

/* The same of float32: zero points are 0, rescale is NULL and there is no scratch. */
void tosaic_conv2d_f32(const tosaic_conv *conv, const float *input, const float *weight,
                       const float *bias, const tosaic_rescale *rescale, void *output,
                       void *scratch);
void tosaic_conv3d_f32(const tosaic_conv *conv, const float *input, const float *weight,
                       const float *bias, const tosaic_rescale *rescale, void *output,
                       void *scratch);
void tosaic_depthwise_conv2d_f32(const tosaic_conv *conv, const float *input, const float *weight,
                                 const float *bias, const tosaic_rescale *rescale, void *output,
                                 void *scratch);
void tosaic_transpose_conv2d_f32(const tosaic_conv *conv, const float *input, const float *weight,
                                 const float *bias, const tosaic_rescale *rescale, void *output,
                                 void *scratch);

/* Bytes of scratch that the convolutions of these types need for `conv`; at most 1 << 30. */
size_t tosaic_conv2d_i8_scratch(const tosaic_conv *conv);
size_t tosaic_conv2d_i8_i4_scratch(const tosaic_conv *conv);
size_t tosaic_conv2d_i16_scratch(const tosaic_conv *conv);
size_t tosaic_depthwise_conv2d_i8_scratch(const tosaic_conv *conv);
size_t tosaic_depthwise_conv2d_i8_i4_scratch(const tosaic_conv *conv);
size_t tosaic_depthwise_conv2d_i16_scratch(const tosaic_conv *conv);
size_t tosaic_transpose_conv2d_i8_scratch(const tosaic_conv *conv);

/* MATMUL: output[n,h,w] = sum over c of (a[n,h,c] - a_zp) * (b[n,c,w] - b_zp); see the convolutions
 * for rescale and scratch.
 */
typedef struct tosaic_matmul {
  int32_t batches, height, channels, width;
  int32_t a_zp, b_zp;
} tosaic_matmul;

void tosaic_matmul_i8(const tosaic_matmul *matmul, const int8_t *a, const int8_t *b,
                      const tosaic_rescale *rescale, void *output, void *scratch);
void tosaic_matmul_i16(const tosaic_matmul *matmul, const int16_t *a, const int16_t *b,
                       const tosaic_rescale *rescale, void *output, void *scratch);
void tosaic_matmul_f32(const tosaic_matmul *matmul, const float *a, const float *b,
                       const tosaic_rescale *rescale, void *output, void *scratch);
size_t tosaic_matmul_i8_scratch(const tosaic_matmul *matmul);
size_t tosaic_matmul_i16_scratch(const tosaic_matmul *matmul);

/* AVG_POOL2D and MAX_POOL2D. Zero points are 0 for MAX_POOL2D. */
typedef struct tosaic_pool {
  int32_t batches;
  int32_t input_height, input_width, channels;
  int32_t output_height, output_width;
  int32_t kernel_height, kernel_width;
  int32_t stride_y, stride_x;
  int32_t pad_top, pad_left;
  int32_t input_zp, output_zp;
  bool ignore_nan; /* of MAX_POOL2D on float32 */
} tosaic_pool;

void tosaic_avg_pool2d_i8(const tosaic_pool *pool, const int8_t *input, int8_t *output);
void tosaic_avg_pool2d_i16(const tosaic_pool *pool, const int16_t *input, int16_t *output);
void tosaic_max_pool2d_i8(const tosaic_pool *pool, const int8_t *input, int8_t *output);
void tosaic_max_pool2d_i16(const tosaic_pool *pool, const int16_t *input, int16_t *output);
void tosaic_avg_pool2d_f32(const tosaic_pool *pool, const float *input, float *output);
void tosaic_max_pool2d_f32(const tosaic_pool *pool, const float *input, float *output);

/* RESCALE of `rows` rows of `channels` elements; output may be input itself when its elements are
 * not larger. The u kernels read their input without sign; what the result's sign means is in
 * rescale->min and max.
 */
void tosaic_rescale_i8(const tosaic_rescale *rescale, size_t rows, size_t channels,
                       const int8_t *input, void *output);
void tosaic_rescale_u8(const tosaic_rescale *rescale, size_t rows, size_t channels,
                       const uint8_t *input, void *output);
void tosaic_rescale_i16(const tosaic_rescale *rescale, size_t rows, size_t channels,
                        const int16_t *input, void *output);
void tosaic_rescale_u16(const tosaic_rescale *rescale, size_t rows, size_t channels,
                        const uint16_t *input, void *output);
void tosaic_rescale_i32(const tosaic_rescale *rescale, size_t rows, size_t channels,
                        const int32_t *input, void *output);
void tosaic_rescale_i48(const tosaic_rescale *rescale, size_t rows, size_t channels,
                        const uint8_t *input, void *output);

/* One row of an elementwise operation: n results from up to three operands. steps[k] is 1, or 0
 * where operand k is one element for the whole row. `argument` is the operation's own, named below.
 * The output may be the memory of an operand with step 1 whose elements are not smaller.
 */
typedef void tosaic_row(size_t n, const void *const inputs[], const size_t steps[], void *output,
                        const void *argument);

/* One operand. */
tosaic_row tosaic_abs_i32, tosaic_clz_i32, tosaic_logical_not;
tosaic_row tosaic_bitwise_not_i8, tosaic_bitwise_not_i16, tosaic_bitwise_not_i32;

/* NEGATE: clamp(output_zp - (x - input_zp)) to the type. */
typedef struct tosaic_negate {
  int32_t input_zp, output_zp;
} tosaic_negate;
tosaic_row tosaic_negate_i8, tosaic_negate_i16, tosaic_negate_i32;

typedef struct tosaic_clamp {
  int32_t min, max;
} tosaic_clamp;
tosaic_row tosaic_clamp_i8, tosaic_clamp_i16;

typedef struct tosaic_clamp_float {
  float min, max;
  bool ignore_nan;
} tosaic_clamp_float;
tosaic_row tosaic_clamp_f32;

/* Of float32; no argument. What they call is in the C library. */
tosaic_row tosaic_abs_f32, tosaic_ceil_f32, tosaic_floor_f32, tosaic_negate_f32;
tosaic_row tosaic_reciprocal_f32, tosaic_rsqrt_f32, tosaic_exp_f32, tosaic_log_f32;
tosaic_row tosaic_sin_f32, tosaic_cos_f32, tosaic_tanh_f32, tosaic_sigmoid_f32, tosaic_erf_f32;

/* TABLE; the argument is the table: 256 of int8, or 513 of int16 with results in int32. */
tosaic_row tosaic_table_i8, tosaic_table_i16;

/* CAST; no argument. */
tosaic_row tosaic_cast_bool_i8, tosaic_cast_bool_i16, tosaic_cast_bool_i32;
tosaic_row tosaic_cast_i8_bool, tosaic_cast_i16_bool, tosaic_cast_i32_bool;
tosaic_row tosaic_cast_i8_i16, tosaic_cast_i8_i32, tosaic_cast_i16_i8;
tosaic_row tosaic_cast_i16_i32, tosaic_cast_i32_i8, tosaic_cast_i32_i16;
tosaic_row tosaic_cast_i8_f32, tosaic_cast_i16_f32, tosaic_cast_i32_f32;
/* These round to the nearest, ties to even, and saturate; NaN gives 0. */
tosaic_row tosaic_cast_f32_i8, tosaic_cast_f32_i16, tosaic_cast_f32_i32;

/* Two operands; no argument unless said. */
tosaic_row tosaic_add_i32, tosaic_sub_i32, tosaic_maximum_i32, tosaic_minimum_i32;
tosaic_row tosaic_intdiv_i32; /* division by 0 gives 0 */
tosaic_row tosaic_bitwise_and_i8, tosaic_bitwise_and_i16, tosaic_bitwise_and_i32;
tosaic_row tosaic_bitwise_or_i8, tosaic_bitwise_or_i16, tosaic_bitwise_or_i32;
tosaic_row tosaic_bitwise_xor_i8, tosaic_bitwise_xor_i16, tosaic_bitwise_xor_i32;
tosaic_row tosaic_logical_and, tosaic_logical_or, tosaic_logical_xor;
tosaic_row tosaic_logical_left_shift_i8, tosaic_logical_left_shift_i16;
tosaic_row tosaic_logical_left_shift_i32;
tosaic_row tosaic_logical_right_shift_i8, tosaic_logical_right_shift_i16;
tosaic_row tosaic_logical_right_shift_i32;
/* ARITHMETIC_RIGHT_SHIFT; the argument is const bool *round. Shifts act modulo the width. */
tosaic_row tosaic_arithmetic_right_shift_i8, tosaic_arithmetic_right_shift_i16;
tosaic_row tosaic_arithmetic_right_shift_i32;
/* MUL with int32 results; the argument is const int8_t *shift, which only the i32 kernel reads. */
tosaic_row tosaic_mul_i8, tosaic_mul_i16, tosaic_mul_i32;
/* Comparisons; results are bool. */
tosaic_row tosaic_equal_i32, tosaic_greater_i32, tosaic_greater_equal_i32;
tosaic_row tosaic_add_f32, tosaic_sub_f32, tosaic_mul_f32, tosaic_pow_f32;
tosaic_row tosaic_equal_f32, tosaic_greater_f32, tosaic_greater_equal_f32;
/* The argument is const bool *ignore_nan: otherwise a NaN gives NaN. */
tosaic_row tosaic_maximum_f32, tosaic_minimum_f32;

/* Three operands: bool, then two of elements of 1, 2 or 4 bytes. */
tosaic_row tosaic_select_8, tosaic_select_16, tosaic_select_32;

/* Reductions of the middle one of three dimensions. */
typedef struct tosaic_reduction {
  size_t outer, axis, inner;
  bool ignore_nan; /* of maxima and minima of float32 */
} tosaic_reduction;

typedef void tosaic_reduce(const tosaic_reduction *shape, const void *input, void *output);
tosaic_reduce tosaic_reduce_sum_i32, tosaic_reduce_all, tosaic_reduce_any;
tosaic_reduce tosaic_reduce_max_i8, tosaic_reduce_max_i16, tosaic_reduce_max_i32;
tosaic_reduce tosaic_reduce_min_i8, tosaic_reduce_min_i16, tosaic_reduce_min_i32;
tosaic_reduce tosaic_reduce_sum_f32, tosaic_reduce_product_f32;
tosaic_reduce tosaic_reduce_max_f32, tosaic_reduce_min_f32;
/* Results are int32; the first of equals. */
tosaic_reduce tosaic_argmax_i8, tosaic_argmax_i16, tosaic_argmax_f32;

/* A copy between two strided arrays of equal shape: TRANSPOSE, SLICE, REVERSE, CONCAT, TILE, PAD.
 * Strides are in bytes; the input's may be negative or 0. Rows (the last dimension) are copied in
 * order; the output of each may overlap inputs that do not begin ahead of it.
 */
enum { TOSAIC_COPY_RANK = 12 };
typedef struct tosaic_copy {
  int32_t rank; /* 1 to TOSAIC_COPY_RANK */
  size_t element_size;
  size_t size[TOSAIC_COPY_RANK];
  ptrdiff_t input_stride[TOSAIC_COPY_RANK];
  ptrdiff_t output_stride[TOSAIC_COPY_RANK];
} tosaic_copy;

void tosaic_copy_strided(const tosaic_copy *copy, const void *input, void *output);

/* Write `count` copies of the element at `value`. */
void tosaic_fill(size_t count, size_t element_size, const void *value, void *output);

/* GATHER and SCATTER on [batches, indexed, channels]; `count` indices a batch, `row_size` bytes a
 * row. False is returned at the first index outside of 0 to indexed - 1, and for SCATTER at one
 * that is there twice.
 */
typedef struct tosaic_indexing {
  size_t batches, indexed, count, row_size;
} tosaic_indexing;

bool tosaic_gather(const tosaic_indexing *shape, const void *values, const int32_t *indices,
                   void *output);
bool tosaic_scatter(const tosaic_indexing *shape, const void *values_in, const int32_t *indices,
                    const void *input, void *output);

/* RESIZE: bilinear results are int32 for int8 and int48 for int16. */
typedef struct tosaic_resize {
  int32_t batches, input_height, input_width, channels, output_height, output_width;
  int32_t scale_y_n, scale_y_d, scale_x_n, scale_x_d;
  int32_t offset_y, offset_x;
} tosaic_resize;

void tosaic_resize_nearest(const tosaic_resize *resize, size_t element_size, const void *input,
                           void *output);
void tosaic_resize_bilinear_i8(const tosaic_resize *resize, const int8_t *input, int32_t *output);
void tosaic_resize_bilinear_i16(const tosaic_resize *resize, const int16_t *input, uint8_t *output);
void tosaic_resize_bilinear_f32(const tosaic_resize *resize, const float *input, float *output);

/* FFT2D, and RFFT2D, whose imag is NULL and whose output is as wide as it tells, on images of
 * [batches, height, width], powers of two: out = sum of in * e^(-2 pi i (y v / height + x u /
 * width)), with the other sign for the inverse.
 */
typedef struct tosaic_fft {
  int32_t batches, height, width, output_width;
  bool inverse;
} tosaic_fft;

void tosaic_fft2d_f32(const tosaic_fft *fft, const float *real, const float *imag,
                      float *output_real, float *output_imag);

#ifdef __cplusplus
}
#endif

#endif
