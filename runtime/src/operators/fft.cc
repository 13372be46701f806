// FFT2D and RFFT2D.
#include "operators.h"
#include "tosaic/operators.h"

#if TOSAIC_FLOAT
namespace tosaic {
namespace {

bool is_size(int32_t size) { return size <= kMaxKernel && (size & (size - 1)) == 0; }

tosaic_fft make(const Step &step) {
  const Tensor &x = step.input(0), &y = step.output(0);
  const bool inverse = step.op().attribute.words && step.attributes()[0];
  return {x.shape[0], x.shape[1], x.shape[2], y.shape[2], inverse};
}

// `width` tells the output's from the input's.
bool fits(const Step &step, int32_t width(int32_t)) {
  const Tensor &x = step.input(0), &y = step.output(0);
  return is(x, TOSAIC_FP32, 3) && is(y, TOSAIC_FP32, 3) && same(y, step.output(1)) &&
         is_size(x.shape[1]) && is_size(x.shape[2]) && y.shape[0] == x.shape[0] &&
         y.shape[1] == x.shape[1] && y.shape[2] == width(x.shape[2]);
}

int32_t whole(int32_t width) { return width; }
int32_t half(int32_t width) { return width / 2 + 1; }

tosaic_status check_fft2d(const Step &step) {
  return verdict(fits(step, whole) && same(step.input(0), step.input(1)));
}

tosaic_status check_rfft2d(const Step &step) { return verdict(fits(step, half)); }

tosaic_status run(const Step &step) {
  const tosaic_fft fft = make(step);
  const void *imag = step.node->inputs > 1 ? step.input(1).data : nullptr;
  tosaic_fft2d_f32(&fft, static_cast<const float *>(step.input(0).data),
                   static_cast<const float *>(imag), static_cast<float *>(step.output(0).data),
                   static_cast<float *>(step.output(1).data));
  return TOSAIC_OK;
}

}  // namespace
}  // namespace tosaic

#define OPERATOR(NAME, OP, ATTRIBUTE, INPUTS)                                            \
  const tosaic_operator tosaic_op_##NAME##_f32 = {tosa::Op::OP,                          \
                                                  tosa::Attribute::ATTRIBUTE##Attribute, \
                                                  TOSAIC_FP32,                           \
                                                  tosaic_operator::kAny,                 \
                                                  INPUTS,                                \
                                                  2,                                     \
                                                  0,                                     \
                                                  tosaic::check_##NAME,                  \
                                                  tosaic::run,                           \
                                                  nullptr,                               \
                                                  nullptr,                               \
                                                  {},                                    \
                                                  0,                                     \
                                                  0,                                     \
                                                  nullptr};

OPERATOR(fft2d, FFT2D, FFT2d, 2)
OPERATOR(rfft2d, RFFT2D, RFFT2d, 1)
#endif
