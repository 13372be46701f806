// MATMUL.
#include "operators.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

bool make(const Step &step, tosaic_matmul *matmul) {
  const Tensor &a = step.input(0), &b = step.input(1), &y = step.output(0);
  if (a.rank != 3 || b.rank != 3 || !is_output_of(step, accumulator_of(a.type), 3) ||
      b.shape[0] != a.shape[0] || b.shape[1] != a.shape[2] || y.shape[0] != a.shape[0] ||
      y.shape[1] != a.shape[1] || y.shape[2] != b.shape[2] || step.input(2).type != a.type ||
      step.input(3).type != b.type) {
    return false;
  }
  matmul->batches = a.shape[0];
  matmul->height = a.shape[1];
  matmul->channels = a.shape[2];
  matmul->width = b.shape[2];
  return constant_scalar(step.input(2), &matmul->a_zp) &&
         constant_scalar(step.input(3), &matmul->b_zp);
}

tosaic_status check(const Step &step) {
  tosaic_matmul matmul;
  return verdict(make(step, &matmul));
}

template <class Type, size_t scratch(const tosaic_matmul *),
          void kernel(const tosaic_matmul *, const Type *, const Type *, const tosaic_rescale *,
                      void *, void *)>
tosaic_status run(const Step &step) {
  tosaic_matmul matmul;
  tosaic_rescale storage;
  const tosaic_rescale *rescale = nullptr;
  if (!make(step, &matmul) ||
      !merged_rescale(step, accumulator_of(step.input(0).type), &storage, &rescale)) {
    return TOSAIC_BAD_MODEL;
  }
  if (scratch(&matmul) > step.model->scratch_bytes) return TOSAIC_BAD_PLAN;
  kernel(&matmul, static_cast<const Type *>(step.input(0).data),
         static_cast<const Type *>(step.input(1).data), rescale, step.output(0).data,
         step.model->scratch);
  return TOSAIC_OK;
}

#if TOSAIC_FLOAT
size_t no_scratch(const tosaic_matmul *) { return 0; }
#endif

template <size_t scratch(const tosaic_matmul *)>
size_t scratch_of(const Step &step) {
  tosaic_matmul matmul;
  return make(step, &matmul) ? scratch(&matmul) : 0;
}

}  // namespace
}  // namespace tosaic

#define OPERATOR(NAME, TYPE, DATA, KERNEL_SCRATCH, SCRATCH)                                   \
  const tosaic_operator tosaic_op_##NAME = {tosa::Op::MATMUL,                                 \
                                            tosa::Attribute::MatMulAttribute,                 \
                                            TYPE,                                             \
                                            TYPE,                                             \
                                            4,                                                \
                                            1,                                                \
                                            kFusesRescale | kChecksWhenRun,                   \
                                            tosaic::check,                                    \
                                            tosaic::run<DATA, KERNEL_SCRATCH, tosaic_##NAME>, \
                                            SCRATCH,                                          \
                                            nullptr,                                          \
                                            {},                                               \
                                            0,                                                \
                                            0,                                                \
                                            nullptr};

OPERATOR(matmul_i8, TOSAIC_INT8, int8_t, tosaic_matmul_i8_scratch,
         tosaic::scratch_of<tosaic_matmul_i8_scratch>)
OPERATOR(matmul_i16, TOSAIC_INT16, int16_t, tosaic_matmul_i16_scratch,
         tosaic::scratch_of<tosaic_matmul_i16_scratch>)

#if TOSAIC_FLOAT
OPERATOR(matmul_f32, TOSAIC_FP32, float, tosaic::no_scratch, nullptr)
#endif
