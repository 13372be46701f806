// The memory plan that travels beside a model, little endian words of 32 bits:
//   magic, version, structure_of(model), number of graphs, and for each graph
//   bytes of arena, number of tensors, the offset of each tensor or kNoOffset,
//   number of operands, and the operands, two to a word, low half first.
// Operands are indices of tensors: those of the graph's inputs, of its outputs, and of each node
// its inputs, its outputs and two graphs that it may call. They stay in the plan, in flash.
#ifndef TOSAIC_RUNTIME_PLAN_H
#define TOSAIC_RUNTIME_PLAN_H

#include "model.h"

namespace tosaic {

constexpr uint32_t kPlanMagic = 0x4e4c5054;  // "TPLN"
constexpr uint32_t kPlanVersion = 2;

// A hash of operators and sizes, by which a plan knows its model.
uint32_t structure_of(const tosaic_model &model);

// Bytes that the loader borrows behind the model's tables to read a graph of so many tensors.
size_t loader_workspace(size_t tensor_count, bool planned);

// How many operands a graph has.
size_t operand_count(const tosa::TosaBasicBlock &block);

// One graph's part of a plan.
struct GraphPlan {
  uint32_t arena_bytes;
  const uint32_t *offsets;
  const uint16_t *operands;
};

// Reads a plan graph by graph, without reading past its end.
class PlanReader {
 public:
  PlanReader(const void *plan, size_t size)
      : at_(static_cast<const uint32_t *>(plan)), left_(size / sizeof(uint32_t)) {
    header_ = take(4);
  }

  bool is_of(const tosaic_model &model) const {
    return header_ && header_[0] == kPlanMagic && header_[1] == kPlanVersion &&
           header_[2] == structure_of(model) && header_[3] == model.graph_count;
  }

  bool graph(size_t tensors, size_t operands, GraphPlan *plan) {
    const uint32_t *sizes = take(2);
    plan->offsets = take(tensors);
    const uint32_t *count = take(1);
    const uint32_t *pairs = take((operands + 1) / 2);
    plan->operands = reinterpret_cast<const uint16_t *>(pairs);
    if (!sizes || !plan->offsets || !count || !pairs) return false;
    plan->arena_bytes = sizes[0];
    return sizes[1] == tensors && *count == operands;
  }

 private:
  const uint32_t *take(size_t count) {
    if (count > left_) {
      left_ = 0;
      return nullptr;
    }
    const uint32_t *words = at_;
    at_ += count;
    left_ -= count;
    return words;
  }

  const uint32_t *at_;
  size_t left_;
  const uint32_t *header_;
};

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
