// RESIZE.
#include "operators.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

// TOSA's limits on scales keep the arithmetic of positions within int32.
constexpr int32_t kMaxSize = 16384;
constexpr int32_t kMaxNumerator = 1 << 11;

bool fits(int32_t input, int32_t n, int32_t d, int32_t offset, int32_t border, int32_t output) {
  if (n < 1 || d < 1 || n > kMaxNumerator || d >= 16 * n || n > kMaxScale * d ||
      input >= kMaxSize || output >= kMaxSize || offset < -n || offset >= 16 * n ||
      border < -16 * n || border >= n) {
    return false;
  }
  const int64_t space = int64_t{input - 1} * n - offset + border;
  return space >= 0 && space % d == 0 && space / d + 1 == output;
}

bool make(const Step &step, tosaic_resize *resize) {
  const Tensor &x = step.input(0), &y = step.output(0);
  int32_t scale[4], offset[2], border[2];
  if (x.rank != 4 || y.rank != 4 || x.shape[0] != y.shape[0] || x.shape[3] != y.shape[3] ||
      !constant_shape(step.input(1), 4, scale) || !constant_shape(step.input(2), 2, offset) ||
      !constant_shape(step.input(3), 2, border)) {
    return false;
  }
  *resize = {x.shape[0], x.shape[1], x.shape[2], x.shape[3], y.shape[1], y.shape[2],
             scale[0],   scale[1],   scale[2],   scale[3],   offset[0],  offset[1]};
  return fits(x.shape[1], scale[0], scale[1], offset[0], border[0], y.shape[1]) &&
         fits(x.shape[2], scale[2], scale[3], offset[1], border[1], y.shape[2]);
}

tosaic_status check(const Step &step) {
  tosaic_resize resize;
  const uint8_t from = step.input(0).type, to = step.output(0).type;
  switch (static_cast<tosa::ResizeMode>(step.attributes()[0])) {
    case tosa::ResizeMode::NEAREST:
      return verdict(make(step, &resize) && from == to);
    case tosa::ResizeMode::BILINEAR:
      return verdict(make(step, &resize) && to == accumulator_of(from));
    default:
      return TOSAIC_BAD_MODEL;
  }
}

template <class From, class To, void bilinear(const tosaic_resize *, const From *, To *)>
tosaic_status run(const Step &step) {
  const Tensor &x = step.input(0), &y = step.output(0);
  tosaic_resize resize;
  if (!make(step, &resize)) return TOSAIC_BAD_MODEL;
  if (static_cast<tosa::ResizeMode>(step.attributes()[0]) == tosa::ResizeMode::NEAREST) {
    tosaic_resize_nearest(&resize, element_size(x.type), x.data, y.data);
  } else {
    bilinear(&resize, static_cast<const From *>(x.data), static_cast<To *>(y.data));
  }
  return TOSAIC_OK;
}

}  // namespace
}  // namespace tosaic

#define OPERATOR(NAME, TYPE, FROM, TO)                      \
  const tosaic_operator tosaic_op_resize_##NAME = {         \
      tosa::Op::RESIZE,                                     \
      tosa::Attribute::ResizeAttribute,                     \
      TYPE,                                                 \
      TOSAIC_SHAPE,                                         \
      4,                                                    \
      1,                                                    \
      0,                                                    \
      tosaic::check,                                        \
      tosaic::run<FROM, TO, tosaic_resize_bilinear_##NAME>, \
      nullptr,                                              \
      nullptr,                                              \
      {},                                                   \
      0,                                                    \
      0,                                                    \
      nullptr};

OPERATOR(i8, TOSAIC_INT8, int8_t, int32_t)
OPERATOR(i16, TOSAIC_INT16, int16_t, uint8_t)

#if TOSAIC_FLOAT
OPERATOR(f32, TOSAIC_FP32, float, float)
#endif
