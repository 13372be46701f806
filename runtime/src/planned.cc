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

// Types that tensors may have, which are numbered from `first` on.
struct Types {
  const PlanType *begin;
  uint32_t first;
  uint32_t count;
};

// Where tensors of one kind lie.
struct Space {
  uint8_t *begin;
  uint32_t size;
  uint32_t unaligned;  // bits that a place may not have
  uint8_t constant;
};

bool is_inside(uint32_t offset, uint32_t bytes, uint32_t size) {
  return offset <= size && bytes <= size - offset;
}

// Makes `count` tensors, each at its place in `space`.
[[gnu::noinline]] bool place_tensors(const Types types, const PlanTensor *source, uint32_t count,
                                     const Space space, Tensor *tensor) {
  for (const PlanTensor *const end = source + count; source < end; source++, tensor++) {
    const uint32_t place = source->place, number = source->type - types.first;
    if (number >= types.count) return false;
    const PlanType &type = types.begin[number];
    if (!is_inside(place, type.bytes, space.size) || place & space.unaligned) return false;
    *tensor = {space.begin + place, type.dims, type.bytes, type.type, type.rank, space.constant, 0};
  }
  return true;
}

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
        header_->shape_types > header_->types || header_->graphs < 1 || header_->graphs >= kNone) {
      return false;
    }
    keys_ = plan_.take<uint32_t>(header_->operators);
    variables_ = plan_.take<PlanVariable>(header_->variables);
    types_ = plan_.take<PlanType>(header_->types);
    graphs_ = plan_.take<PlanGraph>(header_->graphs);
    return keys_ && variables_ && types_ && graphs_;
  }

  bool check_types() const {
    const PlanType *type = types_, *const end = types_ + header_->types;
    for (const PlanType *shapes = type + header_->shape_types; type < shapes; type++) {
      const auto values = static_cast<uint32_t>(type->dims[0]);
      if (type->type != TOSAIC_SHAPE || type->rank || type->zero || values > kMaxShapeValues ||
          type->bytes != values * element_size(TOSAIC_SHAPE)) {
        return false;
      }
    }
    for (; type < end; type++) {
      if (type->type - 1U >= TOSAIC_FP32 || type->rank > TOSAIC_MAX_RANK || type->zero ||
          type->bytes > kMaxTensorBytes) {
        return false;
      }
      uint32_t elements = 1;  // becomes 0, or too large, with a dimension that is not positive
      for (const int32_t *dim = type->dims, *last = dim + type->rank; dim < last; dim++) {
        if (__builtin_mul_overflow(elements, static_cast<uint32_t>(*dim), &elements)) return false;
      }
      if (elements - 1 >= kMaxTensorBytes || bytes_of(type->type, elements) != type->bytes) {
        return false;
      }
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
      const bool kinds = source.constants <= source.tensors &&
                         source.variables <= source.tensors - source.constants &&
                         source.in_arena <= source.tensors - source.constants - source.variables;
      if (!sources || !nodes || !attributes || !operands || !interface || !kinds ||
          source.tensors >= kNone || source.nodes >= kNone || source.inputs >= kNone ||
          source.outputs >= kNone || end > header_->tensor_bytes ||
          source.arena_base % TOSAIC_ALIGNMENT) {
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

  bool load_tensors(size_t number) {
    const Graph &graph = model_->graphs[number];
    const PlanGraph &counts = graphs_[number];
    const uint32_t shapes = header_->shape_types;  // which only constants may have
    const Types all = {types_, 0, header_->types};
    const Types others = {types_ + shapes, shapes, header_->types - shapes};
    const Space model = {static_cast<uint8_t *>(const_cast<void *>(config_.model)),
                         header_->model_bytes, 3, true};
    const Space arena = {model_->tensors + graph.arena_base, graph.arena_bytes,
                         TOSAIC_ALIGNMENT - 1, false};
    const Space nowhere = {nullptr, kMaxTensorBytes, UINT32_MAX, false};
    // The tensors' records lie ahead of the nodes.
    const auto *source = reinterpret_cast<const PlanTensor *>(graph.nodes) - graph.tensor_count;
    Tensor *tensor = graph.tensors;
    if (!place_tensors(all, source, counts.constants, model, tensor)) return false;
    source += counts.constants;
    tensor += counts.constants;
    for (Tensor *const end = tensor + counts.variables; tensor < end; tensor++, source++) {
      const uint32_t variable = source->place;
      if (variable >= header_->variables) return false;
      const Space own = {model_->variables[variable].data, variables_[variable].bytes, 0, false};
      const PlanTensor at_begin = {0, source->type};
      if (!place_tensors(others, &at_begin, 1, own, tensor) || tensor->bytes != own.size) {
        return false;
      }
    }
    if (!place_tensors(others, source, counts.in_arena, arena, tensor)) return false;
    source += counts.in_arena;
    tensor += counts.in_arena;
    const auto left = static_cast<uint32_t>(graph.tensors + graph.tensor_count - tensor);
    return place_tensors(others, source, left, nowhere, tensor);
  }

  // Tensors are sorted by kind: those below `constants` are in the model, and those from `placed`
  // up to `count` have no memory.
  struct Kinds {
    uint32_t constants, placed, count;
  };

  tosaic_status check_nodes(const Graph &graph, const PlanGraph &source) const {
    const Kinds kinds = {source.constants, source.constants + source.variables + source.in_arena,
                         source.tensors};
    const uint16_t *const inputs = graph.inputs(), *const outputs = graph.outputs();
    // What the user writes and reads has memory.
    if (!are_below(kinds.placed, inputs, outputs + graph.output_count)) return TOSAIC_BAD_PLAN;
    for (const uint16_t *input = inputs; input < outputs; input++) {
      if (*input < kinds.constants) return TOSAIC_BAD_PLAN;
    }
    const Node *chain = graph.nodes;  // where the one that `node` is in begins
    const Node *const end = graph.nodes + graph.node_count;
    for (const Node *node = graph.nodes; node < end; node++) {
      if (node->op >= header_->operators || node->merged > kMaxMerged) return TOSAIC_BAD_PLAN;
      const tosaic_operator &op = *operators_[node->op];
      const uint32_t operands = uint32_t{node->inputs} + node->outputs;
      if (!op.takes(*node) || (node->merged && !(op.flags & kFusesRescale)) ||
          !is_inside(node->operands, operands, source.operands) ||
          !is_inside(node->attributes, op.words(*node), source.attributes)) {
        return TOSAIC_BAD_PLAN;
      }
      if (node > chain + chain->chained) chain = node;
      const Node *const last = chain + chain->chained;
      if (last >= end || (chain < last && !op.operands) ||
          !check_operands(graph, kinds, op, *chain, *node, node == last) ||
          !op.reads(graph, *node)) {
        return TOSAIC_BAD_PLAN;
      }
      // Chains, too, are checked when they run.
      if (op.flags & kChecksWhenRun || chain < last) continue;
      const Step step{model_, &graph, node};
      const tosaic_status status = op.check(step);
      if (status == TOSAIC_OK) continue;
      if (config_.failed) *config_.failed = place_of(step);
      return status;
    }
    return TOSAIC_OK;
  }

  static bool are_below(uint32_t limit, const uint16_t *begin, const uint16_t *end) {
    while (begin < end) {
      if (*begin++ >= limit) return false;
    }
    return true;
  }

  // Whether `node`, of the chain that `first` begins, has all memory it needs, and writes only what
  // may be written.
  static bool check_operands(const Graph &graph, const Kinds &kinds, const tosaic_operator &op,
                             const Node &first, const Node &node, bool last) {
    const uint16_t *const inputs = graph.inputs(node), *const outputs = inputs + node.inputs;
    const uint16_t *input = inputs;
    if (&first < &node) {
      // Inside of a chain values go from node to node, but not zero points, tables and the like.
      for (; input < inputs + op.operands; input++) {
        if (*input >= kinds.placed && !is_written(graph, &first, &node, *input)) return false;
      }
    }
    if (!are_below(kinds.placed, input, outputs)) return false;
    const uint32_t count = (last ? kinds.placed : kinds.count) - kinds.constants;
    for (const uint16_t *output = outputs; output < outputs + node.outputs; output++) {
      if (*output - kinds.constants < count) continue;
      if (*output >= kinds.constants || !op.aliases ||
          graph.tensors[*inputs].data != graph.tensors[*output].data) {
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
