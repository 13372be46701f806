#include "tosaic/describe.h"

#include <algorithm>
#include <cstring>

#include "arena.h"
#include "model.h"
#include "plan.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

size_t operand_count(const Graph &graph) {
  size_t count = size_t{graph.input_count} + graph.output_count;
  for (const Node *node = graph.nodes; node < graph.nodes + graph.node_count; node++) {
    count += size_t{node->inputs} + node->outputs;
  }
  return count;
}

size_t attribute_count(const tosaic_model &model, const Graph &graph) {
  size_t count = 0;
  for (const Node *node = graph.nodes; node < graph.nodes + graph.node_count; node++) {
    count += model.operators[node->op]->words(*node);
  }
  return count;
}

size_t tensor_bytes(const tosaic_model &model) {
  size_t end = 0;
  for (const Graph *graph = model.graphs; graph < model.graphs + model.graph_count; graph++) {
    end = std::max(end, size_t{graph->arena_base} + graph->arena_bytes);
  }
  return end;
}

PlanKind kind_of(const tosaic_model &model, const Graph &graph, const Tensor &tensor) {
  const auto *data = static_cast<const uint8_t *>(tensor.data);
  const auto *base = model.tensors + graph.arena_base;
  if (tensor.constant) return kInModel;
  if (!data) return kNowhere;
  return data >= base && data < base + graph.arena_bytes ? kInArena : kIsVariable;
}

size_t most_tensors(const tosaic_model &model) {
  size_t most = 0;
  for (const Graph *graph = model.graphs; graph < model.graphs + model.graph_count; graph++) {
    most = std::max<size_t>(most, graph->tensor_count);
  }
  return most;
}

// Writes a plan into `words`, which has room for it; `numbers` has room for one of each tensor of a
// graph.
class PlanWriter {
 public:
  PlanWriter(const tosaic_model &model, uint32_t *words, uint16_t *numbers)
      : model_(model), words_(words), at_(words), numbers_(numbers) {}

  size_t write() {
    const tosaic_config &config = model_.settings;
    auto *header = put(PlanHeader{
        kPlanMagic, kPlanVersion, static_cast<uint32_t>(config.model_size),
        sample_of(config.model, config.model_size), static_cast<uint32_t>(tensor_bytes(model_)),
        model_.scratch_bytes, 0, model_.variable_count, 0, 0, model_.graph_count});
    keys_ = at_;
    for_each_graph([&](const Graph &graph) {
      for (size_t n = 0; n < graph.node_count; n++) add_key(graph.nodes[n]);
    });
    header->operators = key_count_;
    for (size_t k = 0; k < model_.variable_count; k++) {
      put(PlanVariable{in_model(model_.variables[k].initial), model_.variables[k].bytes});
    }
    types_ = reinterpret_cast<PlanType *>(at_);
    for (const bool shapes : {true, false}) {
      for_each_graph([&](const Graph &graph) {
        mark_used(graph);
        for_each_tensor(graph, [&](size_t k) {
          const Tensor &tensor = graph.tensors[k];
          if ((tensor.type == TOSAIC_SHAPE) == shapes) describe(graph, tensor);
        });
      });
      if (shapes) header->shape_types = type_count_;
    }
    header->types = type_count_;
    for_each_graph([&](const Graph &graph) {
      mark_used(graph);
      uint32_t tensors = 0, kinds[kNowhere + 1] = {};
      for_each_tensor(graph, [&](size_t k) {
        tensors++;
        kinds[kind_of(model_, graph, graph.tensors[k])]++;
      });
      put(PlanGraph{tensors, kinds[kInModel], kinds[kIsVariable], kinds[kInArena], graph.node_count,
                    static_cast<uint32_t>(attribute_count(model_, graph)),
                    static_cast<uint32_t>(operand_count(graph)), graph.input_count,
                    graph.output_count, graph.arena_bytes, graph.arena_base});
    });
    for_each_graph([&](const Graph &graph) { put_graph(graph); });
    return static_cast<size_t>(at_ - words_);
  }

 private:
  template <class Visit>
  void for_each_graph(Visit visit) const {
    for (size_t g = 0; g < model_.graph_count; g++) visit(model_.graphs[g]);
  }

  template <class T>
  T *put(const T &value) {
    auto *out = reinterpret_cast<T *>(at_);
    *out = value;
    at_ += sizeof(T) / sizeof(uint32_t);
    return out;
  }

  void put_graph(const Graph &graph) {
    mark_used(graph);
    uint16_t number = 0;
    for_each_tensor(graph, [&](size_t k) {
      put(describe(graph, graph.tensors[k]));
      numbers_[k] = number++;
    });
    for (size_t n = 0; n < graph.node_count; n++) {
      Node node = graph.nodes[n];
      node.op = static_cast<uint16_t>(add_key(node));
      put(node);
    }
    const size_t attributes = attribute_count(model_, graph), operands = operand_count(graph);
    if (attributes) std::memcpy(at_, graph.attributes, attributes * sizeof(int32_t));
    at_ += attributes;
    for (size_t k = 0; k < operands; k += 2) {
      const uint32_t high = k + 1 < operands ? numbers_[graph.operands[k + 1]] : 0;
      put(numbers_[graph.operands[k]] | high << 16);
    }
  }

  // Lets numbers_ tell which tensors are operands.
  void mark_used(const Graph &graph) {
    std::memset(numbers_, 0, graph.tensor_count * sizeof(*numbers_));
    const size_t operands = operand_count(graph);
    for (size_t k = 0; k < operands; k++) numbers_[graph.operands[k]] = 1;
  }

  // Calls `visit` with the index of each tensor that is in the plan, in the plan's order. A merged
  // node's accumulators are not: they are nowhere, and nobody's operand.
  template <class Visit>
  void for_each_tensor(const Graph &graph, Visit visit) const {
    for (int kind = kInModel; kind <= kNowhere; kind++) {
      for (size_t k = 0; k < graph.tensor_count; k++) {
        if (kind_of(model_, graph, graph.tensors[k]) != kind) continue;
        if (kind < kNowhere || numbers_[k]) visit(k);
      }
    }
  }

  // The number of the operator among those in use.
  uint32_t add_key(const Node &node) {
    const uint32_t key = operator_key(*model_.operators[node.op]);
    uint32_t *end = keys_ + key_count_;
    const uint32_t *found = std::find(keys_, end, key);
    if (found == end) {
      put(key);
      key_count_++;
    }
    return static_cast<uint32_t>(found - keys_);
  }

  // Adds the tensor's type where it is new.
  PlanTensor describe(const Graph &graph, const Tensor &tensor) {
    const auto *data = static_cast<const uint8_t *>(tensor.data);
    PlanTensor out = {0, 0};
    PlanType type = {{}, tensor.bytes, tensor.type, tensor.rank, 0};
    for (size_t d = 0; d < tensor.rank; d++) type.dims[d] = tensor.shape[d];
    if (tensor.type == TOSAIC_SHAPE) type.dims[0] = static_cast<int32_t>(tensor.bytes / 8);
    switch (kind_of(model_, graph, tensor)) {
      case kInModel:
        out.place = in_model(data);
        break;
      case kIsVariable:
        while (model_.variables[out.place].data != data) out.place++;
        break;
      case kInArena:
        out.place = static_cast<uint32_t>(data - (model_.tensors + graph.arena_base));
        break;
      case kNowhere:
        break;
    }
    while (out.type < type_count_ && std::memcmp(&types_[out.type], &type, sizeof(type)) != 0) {
      out.type++;
    }
    if (out.type == type_count_) {
      put(type);
      type_count_++;
    }
    return out;
  }

  uint32_t in_model(const uint8_t *data) const {
    return static_cast<uint32_t>(data - static_cast<const uint8_t *>(model_.settings.model));
  }

  const tosaic_model &model_;
  uint32_t *words_, *at_;
  uint16_t *numbers_;
  uint32_t *keys_ = nullptr;
  PlanType *types_ = nullptr;
  uint32_t key_count_ = 0, type_count_ = 0;
};

}  // namespace
}  // namespace tosaic

uint32_t tosaic_describe_sample(const void *model, size_t size) {
  return tosaic::sample_of(model, size);
}

size_t tosaic_describe_plan_words(const tosaic_model *model) {
  using namespace tosaic;
  size_t bytes = sizeof(PlanHeader) + model->operator_count * sizeof(uint32_t) +
                 model->variable_count * sizeof(PlanVariable);
  for (size_t g = 0; g < model->graph_count; g++) {
    const Graph &graph = model->graphs[g];
    bytes += sizeof(PlanGraph) + graph.tensor_count * (sizeof(PlanType) + sizeof(PlanTensor)) +
             graph.node_count * sizeof(Node) + attribute_count(*model, graph) * sizeof(int32_t) +
             (operand_count(graph) + 1) / 2 * sizeof(uint32_t);
  }
  return bytes / sizeof(uint32_t) + (most_tensors(*model) + 1) / 2;
}

size_t tosaic_describe_plan(const tosaic_model *model, uint32_t *words) {
  const size_t room = tosaic_describe_plan_words(model) - (tosaic::most_tensors(*model) + 1) / 2;
  return tosaic::PlanWriter(*model, words, reinterpret_cast<uint16_t *>(words + room)).write();
}

size_t tosaic_describe_device_arena(const tosaic_model *model) {
  using tosaic::Arena;
  using tosaic::DeviceSizes;
  size_t operators = 0;
  while (tosaic_describe_operator_name(operators)) operators++;
  size_t used = 0;
  for (size_t k = 0; k < operators; k++) used += tosaic_describe_operator_uses(model, k) != 0;
  size_t size = Arena::aligned(DeviceSizes::model) +
                Arena::aligned(model->graph_count * DeviceSizes::graph) +
                Arena::aligned(used * DeviceSizes::pointer) +
                Arena::aligned(model->variable_count * DeviceSizes::variable);
  for (size_t g = 0; g < model->graph_count; g++) {
    size += Arena::aligned(model->graphs[g].tensor_count * DeviceSizes::tensor);
  }
  for (size_t k = 0; k < model->variable_count; k++) {
    size += Arena::aligned(model->variables[k].bytes);
  }
  return size + Arena::aligned(tosaic::tensor_bytes(*model)) + Arena::aligned(model->scratch_bytes);
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
      uses += model->operators[graph.nodes[n].op] == tosaic_all_operators.entries[index];
    }
  }
  return uses;
}

bool tosaic_describe_node(const tosaic_model *model, size_t graph, size_t index,
                          tosaic_described_node *node) {
  if (graph >= model->graph_count || index >= model->graphs[graph].node_count) return false;
  const tosaic::Node &source = model->graphs[graph].nodes[index];
  *node = {static_cast<uint32_t>(model->operators[source.op]->op),
           model->graphs[graph].attributes + source.attributes,
           model->graphs[graph].inputs(source),
           source.inputs,
           source.outputs,
           source.merged,
           source.chained};
  return true;
}

const tosaic_tensor *tosaic_describe_tensor(const tosaic_model *model, size_t graph, size_t index) {
  return index < model->graphs[graph].tensor_count ? &model->graphs[graph].tensors[index] : nullptr;
}

uint8_t tosaic_describe_kind(const tosaic_model *model, size_t graph, size_t index) {
  const tosaic::Graph &source = model->graphs[graph];
  return tosaic::kind_of(*model, source, source.tensors[index]);
}

uint16_t tosaic_describe_output(const tosaic_model *model, size_t graph, size_t index) {
  return model->graphs[graph].outputs()[index];
}
