// GATHER and SCATTER.
#include "operators.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

tosaic_indexing shape_of(const Tensor &values, const Tensor &indices) {
  return {static_cast<size_t>(values.shape[0]), static_cast<size_t>(values.shape[1]),
          static_cast<size_t>(indices.shape[1]),
          static_cast<size_t>(values.shape[2]) * element_size(values.type)};
}

// values [N, K, C], indices [N, W] and rows [N, W, C].
bool fits(const Tensor &values, const Tensor &indices, const Tensor &rows) {
  return values.rank == 3 && element_size(values.type) && is(indices, TOSAIC_INT32, 2) &&
         is(rows, static_cast<tosaic_type>(values.type), 3) &&
         indices.shape[0] == values.shape[0] && rows.shape[0] == values.shape[0] &&
         rows.shape[1] == indices.shape[1] && rows.shape[2] == values.shape[2];
}

tosaic_status check_gather(const Step &step) {
  return verdict(fits(step.input(0), step.input(1), step.output(0)));
}

tosaic_status run_gather(const Step &step) {
  const tosaic_indexing shape = shape_of(step.input(0), step.input(1));
  return tosaic_gather(&shape, step.input(0).data, static_cast<const int32_t *>(step.input(1).data),
                       step.output(0).data)
             ? TOSAIC_OK
             : TOSAIC_BAD_INDEX;
}

tosaic_status check_scatter(const Step &step) {
  return verdict(fits(step.input(0), step.input(1), step.input(2)) &&
                 same(step.input(0), step.output(0)));
}

tosaic_status run_scatter(const Step &step) {
  const tosaic_indexing shape = shape_of(step.input(0), step.input(1));
  return tosaic_scatter(&shape, step.input(0).data,
                        static_cast<const int32_t *>(step.input(1).data), step.input(2).data,
                        step.output(0).data)
             ? TOSAIC_OK
             : TOSAIC_BAD_INDEX;
}

}  // namespace
}  // namespace tosaic

const tosaic_operator tosaic_op_gather = {tosa::Op::GATHER,
                                          tosa::Attribute::GatherAttribute,
                                          tosaic_operator::kAny,
                                          TOSAIC_INT32,
                                          2,
                                          1,
                                          0,
                                          tosaic::check_gather,
                                          tosaic::run_gather,
                                          nullptr,
                                          nullptr,
                                          {},
                                          0,
                                          0,
                                          nullptr};
const tosaic_operator tosaic_op_scatter = {tosa::Op::SCATTER,
                                           tosa::Attribute::ScatterAttribute,
                                           tosaic_operator::kAny,
                                           TOSAIC_INT32,
                                           3,
                                           1,
                                           0,
                                           tosaic::check_scatter,
                                           tosaic::run_scatter,
                                           nullptr,
                                           nullptr,
                                           {},
                                           0,
                                           0,
                                           nullptr};
