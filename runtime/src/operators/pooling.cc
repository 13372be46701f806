// AVG_POOL2D and MAX_POOL2D.
#include "operators.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

// Padding may not reach a whole kernel, so that every window holds an element of the input.
bool fits(int32_t input, int32_t before, int32_t after, int32_t kernel, int32_t stride,
          int32_t output) {
  const int64_t space = int64_t{input} + before + after - kernel;
  return before < kernel && after < kernel && space >= 0 && space % stride == 0 &&
         space / stride + 1 == output;
}

bool make_window(const Step &step, tosaic_pool *pool) {
  const Tensor &x = step.input(0), &y = step.output(0);
  const int32_t *kernel = step.attributes(), *stride = kernel + 2, *pad = kernel + 4;
  if (!is(y, static_cast<tosaic_type>(x.type), 4) || x.rank != 4 || x.shape[0] != y.shape[0] ||
      x.shape[3] != y.shape[3] || !in_range(kernel, 2, 1, kMaxKernel) ||
      !in_range(stride, 2, 1, kMaxStride) || !in_range(pad, 4, 0, kMaxKernel)) {
    return false;
  }
  *pool = {x.shape[0], x.shape[1], x.shape[2], x.shape[3], y.shape[1],
           y.shape[2], kernel[0],  kernel[1],  stride[0],  stride[1],
           pad[0],     pad[2],     0,          0,          false};
  return fits(x.shape[1], pad[0], pad[1], kernel[0], stride[0], y.shape[1]) &&
         fits(x.shape[2], pad[2], pad[3], kernel[1], stride[1], y.shape[2]);
}

bool make_average(const Step &step, tosaic_pool *pool) {
  const uint8_t type = step.input(0).type;
  return make_window(step, pool) && step.input(1).type == type && step.input(2).type == type &&
         constant_scalar(step.input(1), &pool->input_zp) &&
         constant_scalar(step.input(2), &pool->output_zp);
}

bool make_largest(const Step &step, tosaic_pool *pool) {
  if (!make_window(step, pool)) return false;
  pool->ignore_nan = step.attributes()[8];
  return true;
}

template <bool make(const Step &, tosaic_pool *)>
tosaic_status check(const Step &step) {
  tosaic_pool pool;
  return verdict(make(step, &pool));
}

template <bool make(const Step &, tosaic_pool *), class Type,
          void kernel(const tosaic_pool *, const Type *, Type *)>
tosaic_status run(const Step &step) {
  tosaic_pool pool;
  if (!make(step, &pool)) return TOSAIC_BAD_MODEL;
  kernel(&pool, static_cast<const Type *>(step.input(0).data),
         static_cast<Type *>(step.output(0).data));
  return TOSAIC_OK;
}

}  // namespace
}  // namespace tosaic

#define OPERATOR(NAME, OP, ATTRIBUTE, TYPE, DATA, INPUTS, MAKE)                             \
  const tosaic_operator tosaic_op_##NAME = {tosa::Op::OP,                                   \
                                            tosa::Attribute::ATTRIBUTE##Attribute,          \
                                            TYPE,                                           \
                                            tosaic_operator::kAny,                          \
                                            INPUTS,                                         \
                                            1,                                              \
                                            kChecksWhenRun,                                 \
                                            tosaic::check<tosaic::MAKE>,                    \
                                            tosaic::run<tosaic::MAKE, DATA, tosaic_##NAME>, \
                                            nullptr,                                        \
                                            nullptr,                                        \
                                            {},                                             \
                                            0,                                              \
                                            0,                                              \
                                            nullptr};

OPERATOR(avg_pool2d_i8, AVG_POOL2D, AvgPool2d, TOSAIC_INT8, int8_t, 3, make_average)
OPERATOR(avg_pool2d_i16, AVG_POOL2D, AvgPool2d, TOSAIC_INT16, int16_t, 3, make_average)
OPERATOR(max_pool2d_i8, MAX_POOL2D, MaxPool2d, TOSAIC_INT8, int8_t, 1, make_largest)
OPERATOR(max_pool2d_i16, MAX_POOL2D, MaxPool2d, TOSAIC_INT16, int16_t, 1, make_largest)

#if TOSAIC_FLOAT
OPERATOR(avg_pool2d_f32, AVG_POOL2D, AvgPool2d, TOSAIC_FP32, float, 3, make_average)
OPERATOR(max_pool2d_f32, MAX_POOL2D, MaxPool2d, TOSAIC_FP32, float, 1, make_largest)
#endif
