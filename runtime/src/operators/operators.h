// What the operator files share: checks of tensors, and reading attributes and constants.
#ifndef TOSAIC_RUNTIME_OPERATORS_H
#define TOSAIC_RUNTIME_OPERATORS_H

#include "../model.h"

namespace tosaic {

// TOSA's level 8K (section 1.3): larger sizes are refused, which also keeps int32 from overflow.
constexpr int32_t kMaxKernel = 8192;
constexpr int32_t kMaxStride = 8192;
constexpr int32_t kMaxScale = 256;

constexpr tosaic_status verdict(bool fits) { return fits ? TOSAIC_OK : TOSAIC_BAD_MODEL; }

inline bool is_type(const Tensor &tensor, tosaic_type type) { return tensor.type == type; }

inline bool is(const Tensor &tensor, tosaic_type type, int rank) {
  return tensor.type == type && tensor.rank == rank;
}

inline size_t elements(const Tensor &tensor) {
  size_t count = 1;
  for (int k = 0; k < tensor.rank; k++) count *= static_cast<size_t>(tensor.shape[k]);
  return count;
}

// Bytes of an element; of int4, which is packed, 0.
inline size_t element_size(uint8_t type) {
  static constexpr uint8_t kSizes[] = {0, 1, 0, 1, 2, 4, 6, 4, 0, 0, 8};  // by tosaic_type
  return type < sizeof(kSizes) ? kSizes[type] : 0;
}

// Bytes of so many elements.
inline uint64_t bytes_of(uint8_t type, uint64_t elements) {
  return type == TOSAIC_INT4 ? (elements + 1) / 2 : elements * element_size(type);
}

bool same_shape(const Tensor &a, const Tensor &b);
bool same(const Tensor &a, const Tensor &b);  // type and shape

// Of what type the sums of products of `type` are.
inline tosaic_type accumulator_of(uint8_t type) {
  return type == TOSAIC_FP32 ? TOSAIC_FP32 : type == TOSAIC_INT16 ? TOSAIC_INT48 : TOSAIC_INT32;
}

// The one element of a constant integer tensor, or of one of float32 that holds 0; false for
// others.
bool constant_scalar(const Tensor &tensor, int32_t *value);

// A SHAPE tensor of `count` values, which must all be within int32.
bool constant_shape(const Tensor &tensor, size_t count, int32_t *values);

// Whether `count` values are from `low` to `high`.
bool in_range(const int32_t *values, size_t count, int32_t low, int32_t high);

// An axis of `tensor`, which has one.
inline bool is_axis(int32_t axis, const Tensor &tensor) { return axis >= 0 && axis < tensor.rank; }

// The smallest and largest value of an integer type.
int32_t lowest(uint8_t type);
int32_t highest(uint8_t type);

// The limits of a CLAMP of values of `type`, which must be int8 or int16, from its attribute.
bool clamp_limits(uint8_t type, const int32_t *values, tosaic_clamp *clamp);

// Whether the output holds the accumulators, or what a merged RESCALE makes of them, which is
// checked with it.
inline bool is_output_of(const Step &step, uint8_t accumulator, int rank) {
  const Tensor &y = step.output(0);
  return y.rank == rank && (step.node->merged || y.type == accumulator);
}

// Sets *rescale to the RESCALE (and CLAMP) merged into `step`, in *storage, or to null where there
// is none; false where it does not fit accumulators of `type`.
bool merged_rescale(const Step &step, uint8_t type, tosaic_rescale *storage,
                    const tosaic_rescale **rescale);

}  // namespace tosaic

#endif
