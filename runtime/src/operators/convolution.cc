// CONV2D, CONV3D, DEPTHWISE_CONV2D and TRANSPOSE_CONV2D.
#include "operators.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

template <class Input, class Weight, class Bias>
using Kernel = void(const tosaic_conv *, const Input *, const Weight *, const Bias *,
                    const tosaic_rescale *, void *, void *);
using Make = bool(const Step &, tosaic_conv *);
using Scratch = size_t(const tosaic_conv *);

// The operands' types, the bias' shape and the zero points, which all forms have alike.
bool make_common(const Step &step, tosaic_conv *conv, int rank) {
  const Tensor &x = step.input(0), &weight = step.input(1), &bias = step.input(2);
  const Tensor &y = step.output(0);
  const tosaic_type accumulator = accumulator_of(x.type);
  if (x.rank != rank || weight.rank != rank || !is_output_of(step, accumulator, rank) ||
      !is(bias, accumulator, 1) || step.input(3).type != x.type ||
      step.input(4).type != weight.type || y.shape[0] != x.shape[0] ||
      (bias.shape[0] != 1 && bias.shape[0] != y.shape[rank - 1])) {
    return false;
  }
  *conv = tosaic_conv{};
  conv->batches = x.shape[0];
  conv->input_depth = rank == 5 ? x.shape[1] : 1;
  conv->input_height = x.shape[rank - 3];
  conv->input_width = x.shape[rank - 2];
  conv->input_channels = x.shape[rank - 1];
  conv->output_depth = rank == 5 ? y.shape[1] : 1;
  conv->output_height = y.shape[rank - 3];
  conv->output_width = y.shape[rank - 2];
  conv->output_channels = y.shape[rank - 1];
  conv->bias_channels = bias.shape[0];
  conv->kernel_depth = conv->stride_z = conv->dilation_z = 1;
  conv->dilation_y = conv->dilation_x = 1;
  return constant_scalar(step.input(3), &conv->input_zp) &&
         constant_scalar(step.input(4), &conv->weight_zp);
}

// Whether `output` is how often a window fits, without rest.
bool fits(int32_t input, int32_t before, int32_t after, int32_t kernel, int32_t stride,
          int32_t dilation, int32_t output) {
  const int64_t reach = int64_t{kernel - 1} * dilation;
  const int64_t space = int64_t{input} - 1 + before + after - reach;
  return reach < kMaxKernel && space >= 0 && space % stride == 0 && space / stride + 1 == output;
}

// The window along y and x, from the attribute's values for them.
bool make_window(const int32_t *pad, const int32_t *stride, const int32_t *dilation,
                 tosaic_conv *conv) {
  if (!in_range(pad, 4, 0, kMaxKernel) || !in_range(stride, 2, 1, kMaxStride) ||
      !in_range(dilation, 2, 1, kMaxKernel)) {
    return false;
  }
  conv->pad_top = pad[0];
  conv->pad_left = pad[2];
  conv->stride_y = stride[0];
  conv->stride_x = stride[1];
  conv->dilation_y = dilation[0];
  conv->dilation_x = dilation[1];
  return fits(conv->input_height, pad[0], pad[1], conv->kernel_height, stride[0], dilation[0],
              conv->output_height) &&
         fits(conv->input_width, pad[2], pad[3], conv->kernel_width, stride[1], dilation[1],
              conv->output_width);
}

bool make_window(const Step &step, tosaic_conv *conv) {
  const int32_t *values = step.attributes();
  return make_window(values, values + 4, values + 6, conv);
}

bool make_conv2d(const Step &step, tosaic_conv *conv) {
  const Tensor &weight = step.input(1);
  if (!make_common(step, conv, 4) || weight.shape[0] != conv->output_channels ||
      weight.shape[3] != conv->input_channels) {
    return false;
  }
  conv->kernel_height = weight.shape[1];
  conv->kernel_width = weight.shape[2];
  return make_window(step, conv);
}

bool make_conv3d(const Step &step, tosaic_conv *conv) {
  const Tensor &weight = step.input(1);
  if (!make_common(step, conv, 5) || weight.shape[0] != conv->output_channels ||
      weight.shape[4] != conv->input_channels) {
    return false;
  }
  conv->kernel_depth = weight.shape[1];
  conv->kernel_height = weight.shape[2];
  conv->kernel_width = weight.shape[3];
  const int32_t *pad = step.attributes(), *stride = pad + 6, *dilation = pad + 9;
  if (!in_range(pad, 2, 0, kMaxKernel) || !in_range(stride, 1, 1, kMaxStride) ||
      !in_range(dilation, 1, 1, kMaxKernel)) {
    return false;
  }
  conv->pad_front = pad[0];
  conv->stride_z = stride[0];
  conv->dilation_z = dilation[0];
  return fits(conv->input_depth, pad[0], pad[1], conv->kernel_depth, stride[0], dilation[0],
              conv->output_depth) &&
         make_window(pad + 2, stride + 1, dilation + 1, conv);
}

bool make_depthwise(const Step &step, tosaic_conv *conv) {
  const Tensor &weight = step.input(1);
  if (!make_common(step, conv, 4) || weight.shape[2] != conv->input_channels ||
      int64_t{weight.shape[2]} * weight.shape[3] != conv->output_channels) {
    return false;
  }
  conv->kernel_height = weight.shape[0];
  conv->kernel_width = weight.shape[1];
  return make_window(step, conv);
}

bool make_transpose(const Step &step, tosaic_conv *conv) {
  const Tensor &weight = step.input(1);
  const int32_t *pad = step.attributes(), *stride = pad + 4;
  if (!make_common(step, conv, 4) || weight.shape[0] != conv->output_channels ||
      weight.shape[3] != conv->input_channels || !in_range(pad, 4, -kMaxKernel, kMaxKernel) ||
      !in_range(stride, 2, 1, kMaxStride)) {
    return false;
  }
  conv->kernel_height = weight.shape[1];
  conv->kernel_width = weight.shape[2];
  conv->pad_top = pad[0];
  conv->pad_left = pad[2];
  conv->stride_y = stride[0];
  conv->stride_x = stride[1];
  const auto size = [](int32_t input, int32_t step_size, int32_t before, int32_t after,
                       int32_t kernel) {
    return int64_t{input - 1} * step_size + before + after + kernel;
  };
  return conv->kernel_height <= kMaxKernel && conv->kernel_width <= kMaxKernel &&
         size(conv->input_height, stride[0], pad[0], pad[1], conv->kernel_height) ==
             conv->output_height &&
         size(conv->input_width, stride[1], pad[2], pad[3], conv->kernel_width) ==
             conv->output_width;
}

template <Make make>
tosaic_status check(const Step &step) {
  tosaic_conv conv;
  return verdict(make(step, &conv));
}

template <Make make, Scratch scratch>
size_t scratch_of(const Step &step) {
  tosaic_conv conv;
  return make(step, &conv) ? scratch(&conv) : 0;
}

size_t no_scratch(const tosaic_conv *) { return 0; }

template <Make make, Scratch scratch, class Input, class Weight, class Bias,
          Kernel<Input, Weight, Bias> kernel>
tosaic_status run(const Step &step) {
  tosaic_conv conv;
  tosaic_rescale storage;
  const tosaic_rescale *rescale = nullptr;
  if (!make(step, &conv) ||
      !merged_rescale(step, accumulator_of(step.input(0).type), &storage, &rescale)) {
    return TOSAIC_BAD_MODEL;
  }
  if (scratch(&conv) > step.model->scratch_bytes) return TOSAIC_BAD_PLAN;
  kernel(&conv, static_cast<const Input *>(step.input(0).data),
         static_cast<const Weight *>(step.input(1).data),
         static_cast<const Bias *>(step.input(2).data), rescale, step.output(0).data,
         step.model->scratch);
  return TOSAIC_OK;
}

}  // namespace
}  // namespace tosaic

#define TYPES_I8 TOSAIC_INT8, TOSAIC_INT8
#define TYPES_I8_I4 TOSAIC_INT8, TOSAIC_INT4
#define TYPES_I16 TOSAIC_INT16, TOSAIC_INT8
#define TYPES_F32 TOSAIC_FP32, TOSAIC_FP32
#define DATA_I8 int8_t, int8_t, int32_t
#define DATA_I8_I4 int8_t, uint8_t, int32_t
#define DATA_I16 int16_t, int8_t, uint8_t
#define DATA_F32 float, float, float

#define OPERATOR(NAME, OP, ATTRIBUTE, MAKE, TYPES, OF, SCRATCH, ...) \
  const tosaic_operator tosaic_op_##NAME = {                         \
      tosa::Op::OP,                                                  \
      tosa::Attribute::ATTRIBUTE##Attribute,                         \
      TYPES,                                                         \
      5,                                                             \
      1,                                                             \
      kFusesRescale | kChecksWhenRun,                                \
      tosaic::check<tosaic::MAKE>,                                   \
      tosaic::run<tosaic::MAKE, OF, __VA_ARGS__, tosaic_##NAME>,     \
      SCRATCH,                                                       \
      nullptr,                                                       \
      {},                                                            \
      0,                                                             \
      0,                                                             \
      nullptr};
#define WITH_SCRATCH(NAME, OP, ATTRIBUTE, MAKE, TYPES)                        \
  OPERATOR(NAME, OP, ATTRIBUTE, MAKE, TYPES_##TYPES, tosaic_##NAME##_scratch, \
           (tosaic::scratch_of<tosaic::MAKE, tosaic_##NAME##_scratch>), DATA_##TYPES)
#define WITHOUT_SCRATCH(NAME, OP, ATTRIBUTE, MAKE, TYPES) \
  OPERATOR(NAME, OP, ATTRIBUTE, MAKE, TYPES_##TYPES, tosaic::no_scratch, nullptr, DATA_##TYPES)

WITH_SCRATCH(conv2d_i8, CONV2D, Conv2d, make_conv2d, I8)
WITH_SCRATCH(conv2d_i8_i4, CONV2D, Conv2d, make_conv2d, I8_I4)
WITH_SCRATCH(conv2d_i16, CONV2D, Conv2d, make_conv2d, I16)
WITH_SCRATCH(depthwise_conv2d_i8, DEPTHWISE_CONV2D, DepthwiseConv2d, make_depthwise, I8)
WITH_SCRATCH(depthwise_conv2d_i8_i4, DEPTHWISE_CONV2D, DepthwiseConv2d, make_depthwise, I8_I4)
WITH_SCRATCH(depthwise_conv2d_i16, DEPTHWISE_CONV2D, DepthwiseConv2d, make_depthwise, I16)
WITHOUT_SCRATCH(conv3d_i8, CONV3D, Conv3d, make_conv3d, I8)
WITHOUT_SCRATCH(conv3d_i8_i4, CONV3D, Conv3d, make_conv3d, I8_I4)
WITHOUT_SCRATCH(conv3d_i16, CONV3D, Conv3d, make_conv3d, I16)
WITH_SCRATCH(transpose_conv2d_i8, TRANSPOSE_CONV2D, TransposeConv2d, make_transpose, I8)
WITHOUT_SCRATCH(transpose_conv2d_i8_i4, TRANSPOSE_CONV2D, TransposeConv2d, make_transpose, I8_I4)
WITHOUT_SCRATCH(transpose_conv2d_i16, TRANSPOSE_CONV2D, TransposeConv2d, make_transpose, I16)

#if TOSAIC_FLOAT
WITHOUT_SCRATCH(conv2d_f32, CONV2D, Conv2d, make_conv2d, F32)
WITHOUT_SCRATCH(conv3d_f32, CONV3D, Conv3d, make_conv3d, F32)
WITHOUT_SCRATCH(depthwise_conv2d_f32, DEPTHWISE_CONV2D, DepthwiseConv2d, make_depthwise, F32)
WITHOUT_SCRATCH(transpose_conv2d_f32, TRANSPOSE_CONV2D, TransposeConv2d, make_transpose, F32)
#endif
