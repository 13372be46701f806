// Makes a model with a plan.
//
// The plan is not believed, unless the user says that it may be: every index and every offset is
// checked before it is used, and what an operator asks of its tensors is checked here or, by most,
// when it runs. A damaged plan may let the model compute nonsense; it cannot make it read or write
// outside of model, plan and arena.
#include <new>

#include "loader.h"
#include "operators/operators.h"
#include "plan.h"

namespace tosaic {
namespace {

constexpr uint32_t kMaxShapeValues = 2 * TOSAIC_MAX_RANK;

// Takes the plan's parts one behind the other, without leaving it.
class Cursor {
 public:
  Cursor(const void *data, size_t size) : at_(static_cast<const uint8_t *>(data)), left_(size) {}

  // Null where fewer than `count` are left.
  template <class T>
  const T *take(size_t count) {
    if (count > left_ / sizeof(T)) {
      left_ = 0;
      return nullptr;
    }
    const auto *out = reinterpret_cast<const T *>(at_);
    at_ += count * sizeof(T);
    left_ -= count * sizeof(T);
    return out;
  }

 private:
  const uint8_t *at_;
  size_t left_;
};

// Where tensors of one kind lie.
struct Space {
  uint8_t *begin;
  uint32_t bytes;
  uint32_t unaligned;  // bits that a place may not have
};

class Loader {
 public:
  Loader(const tosaic_config &config, Arena *arena)
      : config_(config), arena_(*arena), plan_(config.plan, config.plan_size) {}

  tosaic_status load(tosaic_model **out) {
    if (!take_header() || !(config_.trusted || check_types()) || !allocate())
      return TOSAIC_BAD_PLAN;
    if (!model_) return TOSAIC_ARENA_TOO_SMALL;
    tosaic_status status = find_operators();
    if (status == TOSAIC_OK && !bind_variables()) status = TOSAIC_BAD_PLAN;
    // Control flow looks at the graphs that it calls, which lie behind it.
    for (size_t k = header_->graphs; status == TOSAIC_OK && k > 0; k--) {
      if (!load_tensors(k - 1)) return TOSAIC_BAD_PLAN;
      if (!config_.trusted) status = check_nodes(model_->graphs[k - 1], graphs_[k - 1]);
    }
    if (status == TOSAIC_OK) tosaic_model_reset(model_);
    *out = model_;
    return status;
  }

 private:
  bool take_header() {
    header_ = plan_.take<PlanHeader>(1);
    if (!header_ || header_->magic != kPlanMagic || header_->version != kPlanVersion ||
        header_->model_bytes != config_.model_size ||
        header_->model_sample != sample_of(config_.model, config_.model_size) ||
        header_->tensor_bytes > kMaxTensorBytes || header_->scratch_bytes > kMaxTensorBytes ||
        header_->graphs < 1 || header_->graphs >= kNone) {
      return false;
    }
    keys_ = plan_.take<uint32_t>(header_->operators);
    variables_ = plan_.take<PlanVariable>(header_->variables);
    types_ = plan_.take<PlanType>(header_->types);
    graphs_ = plan_.take<PlanGraph>(header_->graphs);
    return keys_ && variables_ && types_ && graphs_;
  }

  bool check_types() const {
    for (const PlanType *type = types_; type < types_ + header_->types; type++) {
      uint32_t elements = 1;
      if (type->type == TOSAIC_SHAPE) {
        elements = static_cast<uint32_t>(type->dims[0]);
        if (elements > kMaxShapeValues || type->rank || type->kind != kInModel) return false;
      } else if (type->type < TOSAIC_BOOL || type->type > TOSAIC_FP32) {
        return false;
      }
      if (type->rank > TOSAIC_MAX_RANK || type->kind > kIsVariable) return false;
      for (const int32_t *dim = type->dims; dim < type->dims + type->rank; dim++) {
        const uint64_t product = uint64_t{elements} * static_cast<uint32_t>(*dim);
        if (*dim < 1 || product > kMaxTensorBytes) return false;
        elements = static_cast<uint32_t>(product);
      }
      if (bytes_of(type->type, elements) != type->bytes) return false;
    }
    return true;
  }

  // All of the model's memory; false where the plan contradicts itself.
  bool allocate() {
    auto *storage = arena_.take<tosaic_model>(1);
    auto *graphs = arena_.take<Graph>(header_->graphs);
    operators_ = arena_.take<const tosaic_operator *>(header_->operators);
    auto *variables = arena_.take<Variable>(header_->variables);
    for (size_t k = 0; k < header_->graphs; k++) {
      const PlanGraph &source = graphs_[k];
      auto *tensors = arena_.take<Tensor>(source.tensors);
      const auto *sources = plan_.take<PlanTensor>(source.tensors);
      const auto *nodes = plan_.take<Node>(source.nodes);
      const auto *attributes = plan_.take<int32_t>(source.attributes);
      const auto *operands = plan_.take<uint16_t>(source.operands);
      plan_.take<uint16_t>(source.operands % 2);
      const uint64_t end = uint64_t{source.arena_base} + source.arena_bytes;
      const bool interface =
          source.inputs <= source.operands && source.outputs <= source.operands - source.inputs;
      if (!sources || !nodes || !attributes || !operands || !interface || source.tensors >= kNone ||
          source.nodes >= kNone || source.inputs >= kNone || source.outputs >= kNone ||
          end > header_->tensor_bytes || source.arena_base % TOSAIC_ALIGNMENT) {
        return false;
      }
      if (!graphs || !arena_.fits()) continue;
      graphs[k] = {const_cast<Node *>(nodes),  // only fuse() writes to nodes, and never here
                   tensors,
                   operands,
                   attributes,
                   source.arena_bytes,
                   source.arena_base,
                   static_cast<uint16_t>(source.nodes),
                   static_cast<uint16_t>(source.tensors),
                   static_cast<uint16_t>(source.inputs),
                   static_cast<uint16_t>(source.outputs)};
    }
    for (size_t k = 0; k < header_->variables; k++) {
      if (variables_[k].bytes > kMaxTensorBytes) return false;
      auto *variable_data = arena_.take<uint8_t>(variables_[k].bytes);
      if (arena_.fits()) variables[k].data = variable_data;
    }
    tosaic_model places = {};
    place_tensors(header_->tensor_bytes, header_->scratch_bytes, &arena_, &places);
    if (!arena_.fits()) return true;
    model_ = new (storage) tosaic_model{config_,
                                        operators_,
                                        graphs,
                                        variables,
                                        places.tensors,
                                        places.scratch,
                                        nullptr,
                                        nullptr,
                                        static_cast<uint16_t>(header_->graphs),
                                        static_cast<uint16_t>(header_->operators),
                                        static_cast<uint16_t>(header_->variables),
                                        places.scratch_bytes};
    return true;
  }

  tosaic_status find_operators() {
    const tosaic_operator_table &table = *config_.operators;
    for (size_t k = 0; k < header_->operators; k++) {
      size_t n = 0;
      while (n < table.count && operator_key(*table.entries[n]) != keys_[k]) n++;
      if (n == table.count) return TOSAIC_UNSUPPORTED;
      operators_[k] = table.entries[n];
    }
    return TOSAIC_OK;
  }

  bool bind_variables() {
    const auto *begin = static_cast<const uint8_t *>(config_.model);
    for (size_t k = 0; k < header_->variables; k++) {
      const PlanVariable &source = variables_[k];
      if (!is_inside(source.initial, source.bytes, header_->model_bytes)) return false;
      model_->variables[k].initial = begin + source.initial;
      model_->variables[k].bytes = source.bytes;
    }
    return true;
  }

  static bool is_inside(uint32_t offset, uint32_t bytes, uint32_t size) {
    return offset <= size && bytes <= size - offset;
  }

  bool load_tensors(size_t number) {
    const Graph &graph = model_->graphs[number];
    // The tensors' records lie ahead of the nodes.
    const auto *source = reinterpret_cast<const PlanTensor *>(graph.nodes) - graph.tensor_count;
    const Space spaces[] = {
        {model_->tensors + graph.arena_base, graph.arena_bytes, TOSAIC_ALIGNMENT - 1},
        {static_cast<uint8_t *>(const_cast<void *>(config_.model)), header_->model_bytes, 3},
        {nullptr, kMaxTensorBytes, UINT32_MAX},
    };
    const uint32_t types = header_->types;
    for (Tensor *tensor = graph.tensors; tensor < graph.tensors + graph.tensor_count; tensor++) {
      const uint32_t place = source->place;
      if (source->type >= types) return false;
      const PlanType &type = types_[source->type];
      source++;
      tensor->shape = type.dims;
      tensor->bytes = type.bytes;
      tensor->type = type.type;
      tensor->rank = type.rank;
      tensor->constant = type.kind == kInModel;
      tensor->reserved = 0;
      if (type.kind == kIsVariable) {
        if (place >= header_->variables || type.bytes != variables_[place].bytes) return false;
        tensor->data = model_->variables[place].data;
        continue;
      }
      const Space &space = spaces[type.kind];
      if (!is_inside(place, type.bytes, space.bytes) || place & space.unaligned) return false;
      tensor->data = space.begin + place;
    }
    return true;
  }

  tosaic_status check_nodes(const Graph &graph, const PlanGraph &source) const {
    if (!check_interface(graph)) return TOSAIC_BAD_PLAN;
    for (size_t n = 0; n < graph.node_count; n += size_t{1} + graph.nodes[n].fused) {
      const Step step{model_, &graph, &graph.nodes[n]};
      const size_t count = size_t{1} + step.node->fused;
      if (count > graph.node_count - n) return TOSAIC_BAD_PLAN;
      for (size_t k = 0; k < count; k++) {
        if (!check_node(graph, source, *step.node, step.node[k], k + 1 == count)) {
          return TOSAIC_BAD_PLAN;
        }
      }
      if (count > 1 && !fits_fused(model_, graph, n)) return TOSAIC_BAD_PLAN;
      // Operators that check when they run are left to it, but in a chain, which does not.
      const bool chain = count > 1 && step.op().operands;
      for (size_t k = 0; k < count; k++) {
        const Step part = step.behind(k);
        if (part.op().flags & kChecksWhenRun && !chain) continue;
        const tosaic_status status = part.op().check(part);
        if (status == TOSAIC_OK) continue;
        if (config_.failed) *config_.failed = place_of(part);
        return status;
      }
    }
    return TOSAIC_OK;
  }

  // What the user writes and reads has memory.
  static bool check_interface(const Graph &graph) {
    for (size_t k = 0; k < size_t{graph.input_count} + graph.output_count; k++) {
      const uint16_t index = graph.operands[k];
      if (index >= graph.tensor_count || !graph.tensors[index].data ||
          (k < graph.input_count && graph.tensors[index].constant)) {
        return false;
      }
    }
    return true;
  }

  // Whether `node`, of the step that `first` begins, stays inside of its tables, has all memory it
  // needs, and writes only what may be written.
  bool check_node(const Graph &graph, const PlanGraph &source, const Node &first, const Node &node,
                  bool last) const {
    if (node.op >= header_->operators) return false;
    const tosaic_operator &op = *operators_[node.op];
    if (!op.takes(node) ||
        !is_inside(node.operands, uint32_t{node.inputs} + node.outputs, source.operands) ||
        !is_inside(node.attributes, op.attribute.words, source.attributes)) {
      return false;
    }
    const uint16_t *operand = graph.inputs(node), *const inputs = operand;
    for (const uint16_t *end = operand + node.inputs; operand < end; operand++) {
      if (*operand >= graph.tensor_count ||
          (!graph.tensors[*operand].data && !is_written(graph, &first, &node, *operand))) {
        return false;
      }
    }
    for (const uint16_t *end = operand + node.outputs; operand < end; operand++) {
      if (*operand >= graph.tensor_count) return false;
      const Tensor &output = graph.tensors[*operand];
      if ((last && !output.data) ||
          (output.constant && !(op.aliases && graph.tensors[*inputs].data == output.data))) {
        return false;
      }
    }
    return true;
  }

  const tosaic_config &config_;
  Arena &arena_;
  Cursor plan_;
  const PlanHeader *header_ = nullptr;
  const uint32_t *keys_ = nullptr;
  const PlanVariable *variables_ = nullptr;
  const PlanType *types_ = nullptr;
  const PlanGraph *graphs_ = nullptr;
  const tosaic_operator **operators_ = nullptr;
  tosaic_model *model_ = nullptr;
};

}  // namespace

uint32_t sample_of(const void *model, size_t size) {
  constexpr size_t kSamples = 32;
  const auto *words = static_cast<const uint32_t *>(model);
  const size_t count = size / sizeof(uint32_t);
  const size_t stride = count / kSamples + 1;
  uint32_t hash = 2166136261U;  // FNV-1a, by words
  for (size_t k = 0; k < count; k += stride) hash = (hash ^ words[k]) * 16777619U;
  return hash;
}

tosaic_status load_planned(const tosaic_config &config, Arena *arena, tosaic_model **model) {
  return Loader(config, arena).load(model);
}

}  // namespace tosaic

tosaic_status tosaic_model_init_planned(const tosaic_config *config, tosaic_model **model) {
  if (!model || !tosaic::is_valid(config) || !config->plan) return TOSAIC_BAD_ARGUMENT;
  tosaic::Arena arena = tosaic::arena_of(*config);
  return tosaic::load_planned(*config, &arena, model);
}
