// The memory plan that travels beside a model, little endian words of 32 bits:
//   magic, version, structure_of(model), number of graphs, and for each graph
//   bytes of arena, number of tensors, the offset of each tensor or kNoOffset.
#ifndef TOSAIC_RUNTIME_PLAN_H
#define TOSAIC_RUNTIME_PLAN_H

#include "model.h"

namespace tosaic {

constexpr uint32_t kPlanMagic = 0x4e4c5054;  // "TPLN"
constexpr uint32_t kPlanVersion = 1;

// A hash of operators, operands and sizes, by which a plan knows its model.
uint32_t structure_of(const tosaic_model &model);

// Bytes that the loader borrows behind the model's tables to read a graph of so many tensors.
size_t loader_workspace(size_t tensor_count);

// What the model's tables take where pointers have 32 bits.
struct DeviceSizes {
  static constexpr size_t model = 80, graph = 36, node = 20, tensor = 16, variable = 12;
};
static_assert(sizeof(void *) != 4 ||
                  (sizeof(tosaic_model) == DeviceSizes::model &&
                   sizeof(Graph) == DeviceSizes::graph && sizeof(Node) == DeviceSizes::node &&
                   sizeof(Tensor) == DeviceSizes::tensor &&
                   sizeof(Variable) == DeviceSizes::variable),
              "the compiler computes arenas with these");

}  // namespace tosaic

#endif
