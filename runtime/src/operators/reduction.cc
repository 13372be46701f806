// REDUCE_* and ARGMAX.
#include "operators.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

tosaic_reduction split(const Step &step) {
  const Tensor &x = step.input(0);
  const int32_t axis = step.attributes()[0];
  const bool has_nan_mode = step.op().attribute.words > 1;
  tosaic_reduction shape = {1, static_cast<size_t>(x.shape[axis]), 1,
                            has_nan_mode && step.attributes()[1]};
  for (int d = 0; d < axis; d++) shape.outer *= static_cast<size_t>(x.shape[d]);
  for (int d = axis + 1; d < x.rank; d++) shape.inner *= static_cast<size_t>(x.shape[d]);
  return shape;
}

// `kept` tells whether the axis stays, as a dimension of 1.
bool fits(const Step &step, int32_t axis, bool kept) {
  const Tensor &x = step.input(0), &y = step.output(0);
  if (!is_axis(axis, x) || y.type != step.op().result_type || y.rank != x.rank - (kept ? 0 : 1) ||
      (kept && y.shape[axis] != 1)) {
    return false;
  }
  for (int d = 0; d < x.rank; d++) {
    if (d != axis && y.shape[!kept && d > axis ? d - 1 : d] != x.shape[d]) return false;
  }
  return true;
}

template <bool kept>
tosaic_status check(const Step &step) {
  return verdict(fits(step, step.attributes()[0], kept));
}

tosaic_status run(const Step &step) {
  const tosaic_reduction shape = split(step);
  step.op().kernel.reduce(&shape, step.input(0).data, step.output(0).data);
  return TOSAIC_OK;
}

}  // namespace
}  // namespace tosaic

#define OPERATOR(NAME, OP, ATTRIBUTE, TYPE, RESULT, KEPT)                          \
  const tosaic_operator tosaic_op_##NAME = {tosa::Op::OP,                          \
                                            tosa::Attribute::ATTRIBUTE##Attribute, \
                                            TYPE,                                  \
                                            tosaic_operator::kAny,                 \
                                            1,                                     \
                                            1,                                     \
                                            0,                                     \
                                            tosaic::check<KEPT>,                   \
                                            tosaic::run,                           \
                                            nullptr,                               \
                                            nullptr,                               \
                                            {tosaic_##NAME},                       \
                                            RESULT,                                \
                                            0,                                     \
                                            nullptr};

OPERATOR(reduce_all, REDUCE_ALL, ReduceAll, TOSAIC_BOOL, TOSAIC_BOOL, true)
OPERATOR(reduce_any, REDUCE_ANY, ReduceAny, TOSAIC_BOOL, TOSAIC_BOOL, true)
OPERATOR(reduce_sum_i32, REDUCE_SUM, ReduceSum, TOSAIC_INT32, TOSAIC_INT32, true)
OPERATOR(reduce_max_i8, REDUCE_MAX, ReduceMax, TOSAIC_INT8, TOSAIC_INT8, true)
OPERATOR(reduce_max_i16, REDUCE_MAX, ReduceMax, TOSAIC_INT16, TOSAIC_INT16, true)
OPERATOR(reduce_max_i32, REDUCE_MAX, ReduceMax, TOSAIC_INT32, TOSAIC_INT32, true)
OPERATOR(reduce_min_i8, REDUCE_MIN, ReduceMin, TOSAIC_INT8, TOSAIC_INT8, true)
OPERATOR(reduce_min_i16, REDUCE_MIN, ReduceMin, TOSAIC_INT16, TOSAIC_INT16, true)
OPERATOR(reduce_min_i32, REDUCE_MIN, ReduceMin, TOSAIC_INT32, TOSAIC_INT32, true)
OPERATOR(argmax_i8, ARGMAX, ArgMax, TOSAIC_INT8, TOSAIC_INT32, false)
OPERATOR(argmax_i16, ARGMAX, ArgMax, TOSAIC_INT16, TOSAIC_INT32, false)

#if TOSAIC_FLOAT
OPERATOR(reduce_sum_f32, REDUCE_SUM, ReduceSum, TOSAIC_FP32, TOSAIC_FP32, true)
OPERATOR(reduce_product_f32, REDUCE_PRODUCT, ReduceProduct, TOSAIC_FP32, TOSAIC_FP32, true)
OPERATOR(reduce_max_f32, REDUCE_MAX, ReduceMax, TOSAIC_FP32, TOSAIC_FP32, true)
OPERATOR(reduce_min_f32, REDUCE_MIN, ReduceMin, TOSAIC_FP32, TOSAIC_FP32, true)
OPERATOR(argmax_f32, ARGMAX, ArgMax, TOSAIC_FP32, TOSAIC_INT32, false)
#endif
