#include "tosaic/describe.h"

#include <algorithm>

#include "model.h"
#include "plan.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

bool in_arena(const tosaic_model &model, const Graph &graph, const Tensor &tensor) {
  const auto *begin = model.tensors + graph.arena_base;
  const auto *data = static_cast<const uint8_t *>(tensor.data);
  return data >= begin && data < begin + graph.arena_bytes;
}

size_t aligned(size_t size) {
  return (size + TOSAIC_ALIGNMENT - 1) / TOSAIC_ALIGNMENT * TOSAIC_ALIGNMENT;
}

}  // namespace
}  // namespace tosaic

size_t tosaic_describe_plan(const tosaic_model *model, uint32_t *words, size_t capacity) {
  size_t count = 0;
  const auto put = [&](uint32_t word) {
    if (count < capacity) words[count] = word;
    count++;
  };
  put(tosaic::kPlanMagic);
  put(tosaic::kPlanVersion);
  put(tosaic::structure_of(*model));
  put(model->graph_count);
  for (size_t g = 0; g < model->graph_count; g++) {
    const tosaic::Graph &graph = model->graphs[g];
    put(graph.arena_bytes);
    put(graph.tensor_count);
    for (size_t k = 0; k < graph.tensor_count; k++) {
      const tosaic::Tensor &tensor = graph.tensors[k];
      const auto *data = static_cast<const uint8_t *>(tensor.data);
      put(tosaic::in_arena(*model, graph, tensor)
              ? static_cast<uint32_t>(data - model->tensors) - graph.arena_base
              : tosaic::kNoOffset);
    }
    const size_t operands = tosaic::operand_count(*graph.block);
    put(static_cast<uint32_t>(operands));
    for (size_t k = 0; k < operands; k += 2) {
      const uint32_t high = k + 1 < operands ? graph.inputs[k + 1] : 0;
      put(graph.inputs[k] | high << 16);
    }
  }
  return count;
}

size_t tosaic_describe_device_arena(const tosaic_model *model) {
  using tosaic::aligned;
  using tosaic::DeviceSizes;
  size_t front = aligned(DeviceSizes::model) + aligned(model->graph_count * DeviceSizes::graph);
  size_t tensors = 0, workspace = 0;
  for (size_t g = 0; g < model->graph_count; g++) {
    const tosaic::Graph &graph = model->graphs[g];
    // With a plan the operands stay there.
    const bool planned = model->settings.plan;
    const size_t operands = planned ? 0 : tosaic::operand_count(*graph.block);
    front += aligned(graph.node_count * DeviceSizes::node) +
             aligned(graph.tensor_count * DeviceSizes::tensor) +
             aligned(operands * sizeof(uint16_t));
    tensors = std::max(tensors, size_t{graph.arena_base} + graph.arena_bytes);
    workspace = std::max(workspace, tosaic::loader_workspace(graph.tensor_count, planned));
  }
  front += aligned(model->variable_count * DeviceSizes::variable);
  // While it is read, the model takes `workspace` bytes behind its tables.
  const size_t reading = front + aligned(workspace);
  for (size_t k = 0; k < model->variable_count; k++) front += aligned(model->variables[k].bytes);
  return std::max(reading, front + aligned(tensors) + aligned(model->scratch_bytes));
}

const char *tosaic_describe_operator_name(size_t index) {
#define NAME(name) #name,
  static const char *const kNames[] = {TOSAIC_FOR_EACH_OPERATOR(NAME)};
#undef NAME
  return index < tosaic_all_operators.count ? kNames[index] : nullptr;
}

size_t tosaic_describe_operator_uses(const tosaic_model *model, size_t index) {
  size_t uses = 0;
  for (size_t g = 0; g < model->graph_count; g++) {
    const tosaic::Graph &graph = model->graphs[g];
    for (size_t n = 0; n < graph.node_count; n++) {
      uses += graph.nodes[n].op == tosaic_all_operators.entries[index];
    }
  }
  return uses;
}

bool tosaic_describe_node(const tosaic_model *model, size_t graph, size_t index,
                          tosaic_described_node *node) {
  if (graph >= model->graph_count || index >= model->graphs[graph].node_count) return false;
  const tosaic::Node &source = model->graphs[graph].nodes[index];
  *node = {source.operands, source.inputs, source.outputs, source.fused};
  return true;
}

uint32_t tosaic_describe_tensor(const tosaic_model *model, size_t graph, size_t index) {
  return model->graphs[graph].tensors[index].bytes;
}

uint16_t tosaic_describe_output(const tosaic_model *model, size_t graph, size_t index) {
  return model->graphs[graph].outputs[index];
}
