// The plan that travels beside a model: its tables as model.h has them, made by the compiler, with
// the place of every tensor. A device that has it neither reads nor verifies the flatbuffer, of
// which only the constants are used, in place.
//
// Little endian, and in this order: PlanHeader; an operator_key for each operator in use;
// PlanVariables; PlanTypes; PlanGraphs; then of each graph its PlanTensors, its Nodes, its
// attributes and its operands (an even number of them). All is sorted so that a device has little
// to check: PlanTypes of SHAPE come first, and tensors are in the order of their PlanKind.
#ifndef TOSAIC_RUNTIME_PLAN_H
#define TOSAIC_RUNTIME_PLAN_H

#include "model.h"

namespace tosaic {

constexpr uint32_t kPlanMagic = 0x4e4c5054;  // "TPLN"
constexpr uint32_t kPlanVersion = 5;

struct PlanHeader {
  uint32_t magic;
  uint32_t version;
  uint32_t model_bytes;
  uint32_t model_sample;   // sample_of the model
  uint32_t tensor_bytes;   // of arena, for all graphs
  uint32_t scratch_bytes;  // of the kernels that it was planned for
  uint32_t operators;      // how many
  uint32_t variables;
  uint32_t types;
  uint32_t shape_types;  // how many of them are of SHAPE
  uint32_t graphs;
};

struct PlanVariable {
  uint32_t initial;  // offset in the model
  uint32_t bytes;
};

// Where a tensor is, which tells what `place` means: bytes behind the model's beginning; the number
// of a variable; bytes behind the beginning of the graph's part of the arena; or nothing, as the
// tensor never exists.
enum PlanKind : uint8_t { kInModel, kIsVariable, kInArena, kNowhere };

// What tensors have in common, each once in a plan.
struct PlanType {
  int32_t dims[TOSAIC_MAX_RANK];  // the first of a SHAPE, of rank 0, is how many values it has
  uint32_t bytes;
  uint8_t type;
  uint8_t rank;
  uint16_t zero;
};

struct PlanTensor {
  uint32_t place;
  uint32_t type;  // its number among PlanTypes
};

struct PlanGraph {
  uint32_t tensors;    // how many
  uint32_t constants;  // of them that are in the model
  uint32_t variables;
  uint32_t in_arena;
  uint32_t nodes;
  uint32_t attributes;
  uint32_t operands;
  uint32_t inputs;
  uint32_t outputs;
  uint32_t arena_bytes;
  uint32_t arena_base;
};

static_assert(sizeof(PlanType) == 32 && sizeof(PlanTensor) == 8 && sizeof(Node) == 16,
              "a plan has no padding");

// By which a plan names an operator.
inline uint32_t operator_key(const tosaic_operator &op) {
  return static_cast<uint32_t>(op.op) | uint32_t{op.type} << 8 | uint32_t{op.second} << 16 |
         uint32_t{op.result_type} << 24;
}
static_assert(static_cast<uint32_t>(tosa::Op::MAX) < 256, "an operator's number is a byte");

// A hash of a few words all over the model, by which a plan knows it.
uint32_t sample_of(const void *model, size_t size);

// What the model's tables take where pointers have 32 bits.
struct DeviceSizes {
  static constexpr size_t model = 88, graph = 32, pointer = 4, tensor = 16, variable = 12;
};
static_assert(sizeof(void *) != 4 ||
                  (sizeof(tosaic_model) == DeviceSizes::model &&
                   sizeof(Graph) == DeviceSizes::graph && sizeof(Tensor) == DeviceSizes::tensor &&
                   sizeof(Variable) == DeviceSizes::variable),
              "the compiler computes arenas with these");

}  // namespace tosaic

#endif
