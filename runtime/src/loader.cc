// Reads a flatbuffer into the arena: verify, resolve names, check every operator, place tensors.
//
// Nothing in the model is believed: after the flatbuffer verifier every name must resolve, every
// value be written once and before it is read, every size fit its data, and each operator's own
// check must pass. Running a loaded model then needs no checks but those of index values.
#include <algorithm>
#include <cstring>
#include <new>

#include "model.h"
#include "operators/operators.h"
#include "plan.h"

namespace tosaic {
namespace {

constexpr size_t kMaxVariables = 256;
constexpr uint32_t kMaxTensorBytes = 1U << 30;

// Memory from both ends of the caller's arena: the model's own from the front, what is needed only
// while loading from the back. After it has run out it keeps adding up, so that `needed` is right.
class Arena {
 public:
  Arena(void *data, size_t size) : data_(static_cast<uint8_t *>(data)), size_(size) {}

  template <class T>
  T *take(size_t count) {
    front_ = aligned(front_);
    const size_t at = front_;
    front_ += count * sizeof(T);
    note();
    return fits() ? reinterpret_cast<T *>(data_ + at) : nullptr;
  }

  template <class T>
  T *borrow(size_t count) {
    back_ = aligned(back_ + count * sizeof(T));
    note();
    return fits() ? reinterpret_cast<T *>(data_ + (size_ - size_ % TOSAIC_ALIGNMENT) - back_)
                  : nullptr;
  }

  void give_back() { back_ = 0; }
  bool fits() const { return needed_ <= size_ - size_ % TOSAIC_ALIGNMENT; }
  size_t needed() const { return needed_; }
  size_t front() const { return aligned(front_); }
  uint8_t *data() const { return data_; }

 private:
  static size_t aligned(size_t size) {
    return (size + TOSAIC_ALIGNMENT - 1) / TOSAIC_ALIGNMENT * TOSAIC_ALIGNMENT;
  }
  void note() {
    const size_t now = aligned(front_) + back_;
    if (now > needed_) needed_ = now;
  }

  uint8_t *data_;
  size_t size_;
  size_t front_ = 0;
  size_t back_ = 0;
  size_t needed_ = 0;
};

uint32_t hash_of(const flatbuffers::String &name) {  // FNV-1a
  uint32_t hash = 2166136261U;
  for (const uint8_t c : name) hash = (hash ^ c) * 16777619U;
  return hash;
}

bool equal(const flatbuffers::String &a, const flatbuffers::String &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

template <class T>
size_t size_of(const flatbuffers::Vector<T> *vector) {
  return vector ? vector->size() : 0;
}

// The names of a block's tensors and shapes, in a hash table with open addressing.
class Names {
 public:
  static size_t slots(size_t count) {
    size_t slots = 4;
    while (slots < 2 * count) slots *= 2;
    return slots;
  }

  Names(const tosa::TosaBasicBlock &block, uint16_t *table, size_t slots)
      : block_(block), table_(table), mask_(slots - 1) {
    for (size_t k = 0; k < slots; k++) table_[k] = kNone;
  }

  // False where there is one of this name already.
  bool add(uint16_t index) {
    const flatbuffers::String &name = *name_of(index);
    size_t slot = hash_of(name) & mask_;
    for (; table_[slot] != kNone; slot = (slot + 1) & mask_) {
      if (equal(*name_of(table_[slot]), name)) return false;
    }
    table_[slot] = index;
    return true;
  }

  uint16_t find(const flatbuffers::String &name) const {
    size_t slot = hash_of(name) & mask_;
    for (; table_[slot] != kNone; slot = (slot + 1) & mask_) {
      if (equal(*name_of(table_[slot]), name)) return table_[slot];
    }
    return kNone;
  }

  const flatbuffers::String *name_of(uint16_t index) const {
    const size_t tensors = size_of(block_.tensors());
    if (index < tensors) return block_.tensors()->Get(index)->name();
    return block_.shapes()->Get(static_cast<flatbuffers::uoffset_t>(index - tensors))->name();
  }

 private:
  const tosa::TosaBasicBlock &block_;
  uint16_t *table_;
  size_t mask_;
};

using StringVector = flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>;

bool is_constant_operator(tosa::Op op) {
  return op == tosa::Op::CONST || op == tosa::Op::CONST_SHAPE;
}

class Loader {
 public:
  Loader(const tosaic_config &config, Arena *arena) : config_(config), arena_(*arena) {}

  tosaic_status load(tosaic_model **out) {
    tosaic_status status = verify();
    if (status == TOSAIC_OK) status = allocate();
    PlanReader plan(config_.plan, config_.plan_size);
    if (status == TOSAIC_OK && config_.plan && !plan.is_of(*model_)) status = TOSAIC_BAD_PLAN;
    for (size_t k = 0; status == TOSAIC_OK && k < model_->graph_count; k++) {
      status = load_graph(k, &plan);
      arena_.give_back();
    }
    for (size_t k = 0; status == TOSAIC_OK && k < model_->graph_count; k++) {
      status = check_graph(model_->graphs[k]);
    }
    if (status == TOSAIC_OK) status = place();
    if (status == TOSAIC_OK) *out = model_;
    return status;
  }

 private:
  tosaic_status failed_at(tosaic_status status, const Step &step) const {
    if (config_.failed) *config_.failed = place_of(step);
    return status;
  }

  tosaic_status verify() {
    const auto *data = static_cast<const uint8_t *>(config_.model);
    if (config_.model_size < 8 || config_.model_size > FLATBUFFERS_MAX_BUFFER_SIZE) {
      return TOSAIC_BAD_MODEL;
    }
    if (!config_.trusted) {
      flatbuffers::Verifier verifier(data, config_.model_size);
      if (!tosa::VerifyTosaGraphBuffer(verifier)) return TOSAIC_BAD_MODEL;
    }
    regions_ = tosa::GetTosaGraph(data)->regions();
    const tosa::Version *version = tosa::GetTosaGraph(data)->version();
    return verdict(version->_major() == 1 && size_of(regions_) > 0 && size_of(regions_) < kNone);
  }

  // All of the model's own memory, so that a second try with arena.needed() bytes succeeds.
  tosaic_status allocate() {
    const auto graph_count = static_cast<uint16_t>(regions_->size());
    auto *storage = arena_.take<tosaic_model>(1);
    auto *graphs = arena_.take<Graph>(graph_count);
    size_t variable_count = 0, largest = 0;
    for (size_t k = 0; k < graph_count; k++) {
      const tosa::TosaRegion *region = regions_->Get(static_cast<flatbuffers::uoffset_t>(k));
      if (!region->name() || size_of(region->blocks()) != 1) return TOSAIC_BAD_MODEL;
      const tosa::TosaBasicBlock *block = region->blocks()->Get(0);
      const size_t names = size_of(block->tensors()) + size_of(block->shapes());
      size_t nodes = 0;
      if (names >= kNone || size_of(block->operators()) >= kNone) return TOSAIC_UNSUPPORTED;
      for (size_t n = 0; n < size_of(block->operators()); n++) {
        const auto *op = block->operators()->Get(static_cast<flatbuffers::uoffset_t>(n));
        nodes += !is_constant_operator(op->op());
      }
      for (size_t n = 0; n < size_of(block->tensors()); n++) {
        variable_count += block->tensors()->Get(static_cast<flatbuffers::uoffset_t>(n))->variable();
      }
      if (size_of(block->inputs()) >= kNone || size_of(block->outputs()) >= kNone) {
        return TOSAIC_BAD_MODEL;
      }
      auto *node_memory = arena_.take<Node>(nodes);
      auto *tensor_memory = arena_.take<Tensor>(names);
      auto *operand_memory = arena_.take<uint16_t>(config_.plan ? 0 : operand_count(*block));
      if (graphs && arena_.fits()) {
        graphs[k] = {block,
                     node_memory,
                     tensor_memory,
                     operand_memory,
                     operand_memory + size_of(block->inputs()),
                     0,
                     0,
                     static_cast<uint16_t>(nodes),
                     static_cast<uint16_t>(names),
                     static_cast<uint16_t>(size_of(block->inputs())),
                     static_cast<uint16_t>(size_of(block->outputs()))};
      }
      largest = std::max(largest, loader_workspace(names, config_.plan));
    }
    if (variable_count > kMaxVariables) return TOSAIC_UNSUPPORTED;
    auto *variables = arena_.take<Variable>(variable_count);
    arena_.borrow<uint8_t>(largest);
    arena_.give_back();
    if (!arena_.fits()) return TOSAIC_ARENA_TOO_SMALL;
    model_ = new (storage) tosaic_model{config_, graphs,  variables,   nullptr, nullptr,
                                        nullptr, nullptr, graph_count, 0,       0};
    return TOSAIC_OK;
  }

  tosaic_status load_graph(size_t number, PlanReader *plan_reader) {
    Graph &graph = model_->graphs[number];
    const tosa::TosaBasicBlock &block = *graph.block;
    GraphPlan plan = {};
    if (config_.plan) {
      const size_t count = operand_count(block);
      if (!plan_reader->graph(graph.tensor_count, count, &plan)) return TOSAIC_BAD_PLAN;
      graph.inputs = plan.operands;
      graph.outputs = plan.operands + graph.input_count;
    }
    const size_t tensors = size_of(block.tensors());
    for (size_t k = 0; k < graph.tensor_count; k++) {
      const auto at = static_cast<flatbuffers::uoffset_t>(k < tensors ? k : k - tensors);
      const tosaic_status status = k < tensors
                                       ? load_tensor(*block.tensors()->Get(at), &graph.tensors[k])
                                       : load_shape(*block.shapes()->Get(at), &graph.tensors[k]);
      if (status != TOSAIC_OK) return status;
    }
    if (!config_.plan) {
      const tosaic_status status = resolve_names(number);
      if (status != TOSAIC_OK) return status;
    }
    // Of each tensor whether it has a value yet, so that none is read first or written twice.
    auto *has_value = arena_.borrow<uint8_t>(graph.tensor_count);
    if (!has_value) return TOSAIC_ARENA_TOO_SMALL;
    for (size_t k = 0; k < graph.tensor_count; k++) {
      has_value[k] = graph.tensors[k].constant || graph.tensors[k].data;  // or variable
    }
    for (size_t k = 0; k < graph.input_count; k++) {
      const uint16_t index = graph.inputs[k];
      if (index >= graph.tensor_count) return TOSAIC_BAD_MODEL;
      // A loop's body may repeat the data of a constant that it is given; what is given counts.
      Tensor &input = graph.tensors[index];
      if (has_value[index] && !input.constant) return TOSAIC_BAD_MODEL;
      if (input.constant) input.data = nullptr;
      input.constant = 0;
      has_value[index] = true;
    }
    const uint16_t *operands = graph.outputs + graph.output_count;
    size_t count = 0;
    for (size_t k = 0; k < size_of(block.operators()); k++) {
      const auto *op = block.operators()->Get(static_cast<flatbuffers::uoffset_t>(k));
      if (is_constant_operator(op->op())) continue;
      Node &node = graph.nodes[count++];
      node = {nullptr,
              op,
              operands,
              static_cast<uint16_t>(size_of(op->inputs())),
              static_cast<uint16_t>(size_of(op->outputs())),
              0};
      operands += node.inputs + node.outputs + 2;
      const tosaic_status status = load_node(number, has_value, &node);
      if (status != TOSAIC_OK) return failed_at(status, {model_, &graph, &node});
    }
    for (size_t k = 0; k < graph.output_count; k++) {
      const uint16_t index = graph.outputs[k];
      if (index >= graph.tensor_count || !has_value[index]) return TOSAIC_BAD_MODEL;
    }
    return TOSAIC_OK;
  }

  // Fills the graph's operands, in the order that plan.h tells.
  tosaic_status resolve_names(size_t number) {
    const Graph &graph = model_->graphs[number];
    const tosa::TosaBasicBlock &block = *graph.block;
    const size_t slots = Names::slots(graph.tensor_count);
    auto *table = arena_.borrow<uint16_t>(slots);
    if (!table) return TOSAIC_ARENA_TOO_SMALL;
    Names names(block, table, slots);
    for (size_t k = 0; k < graph.tensor_count; k++) {
      const auto index = static_cast<uint16_t>(k);
      if (!names.name_of(index) || !names.add(index)) return TOSAIC_BAD_MODEL;
    }
    auto *next = const_cast<uint16_t *>(graph.inputs);
    bool found = true;
    const auto resolve = [&](const StringVector *list) {
      for (size_t k = 0; k < size_of(list); k++) {
        *next = names.find(*list->Get(static_cast<flatbuffers::uoffset_t>(k)));
        found &= *next++ != kNone;
      }
    };
    resolve(block.inputs());
    resolve(block.outputs());
    for (size_t k = 0; k < size_of(block.operators()); k++) {
      const auto *op = block.operators()->Get(static_cast<flatbuffers::uoffset_t>(k));
      if (is_constant_operator(op->op())) continue;
      resolve(op->inputs());
      resolve(op->outputs());
      found &= resolve_callees(number, *op, next);
      next += 2;
    }
    return verdict(found);
  }

  // Regions are stored behind those that call them: asking for that rules out recursion.
  bool resolve_callees(size_t number, const tosa::TosaOperator &op, uint16_t *callees) const {
    const flatbuffers::String *wanted[2] = {};
    callees[0] = callees[1] = kNone;
    if (const auto *cond_if = op.attribute_as_CondIfAttribute()) {
      wanted[0] = cond_if->then_graph();
      wanted[1] = cond_if->else_graph();
    } else if (const auto *while_loop = op.attribute_as_WhileLoopAttribute()) {
      wanted[0] = while_loop->cond_graph();
      wanted[1] = while_loop->body_graph();
    } else {
      return true;
    }
    for (size_t k = 0; k < 2; k++) {
      for (size_t n = number + 1; wanted[k] && n < model_->graph_count; n++) {
        const auto *region = regions_->Get(static_cast<flatbuffers::uoffset_t>(n));
        if (equal(*region->name(), *wanted[k])) callees[k] = static_cast<uint16_t>(n);
      }
    }
    return callees[0] != kNone && callees[1] != kNone;
  }

  tosaic_status load_tensor(const tosa::TosaTensor &source, Tensor *tensor) {
    const auto *shape = source.shape();
    const size_t rank = size_of(shape);
    if (rank > TOSAIC_MAX_RANK || source.is_unranked()) return TOSAIC_BAD_MODEL;
    if (source.type() < tosa::DType::BOOL || source.type() > tosa::DType::FP32) {
      return TOSAIC_UNSUPPORTED;
    }
    uint64_t count = 1;
    for (size_t k = 0; k < rank; k++) {
      const int32_t dim = shape->Get(static_cast<flatbuffers::uoffset_t>(k));
      if (dim < 1) return TOSAIC_BAD_MODEL;
      count *= static_cast<uint64_t>(dim);
      if (count > kMaxTensorBytes) return TOSAIC_UNSUPPORTED;
    }
    const auto type = static_cast<uint8_t>(source.type());
    const uint64_t bytes = type == TOSAIC_INT4 ? (count + 1) / 2 : count * element_size(type);
    if (bytes > kMaxTensorBytes) return TOSAIC_UNSUPPORTED;
    *tensor = {nullptr, shape ? shape->data() : nullptr, static_cast<uint32_t>(bytes),
               type,    static_cast<uint8_t>(rank),      0,
               0};
    const size_t data = size_of(source.data());
    if (data && data < bytes) return TOSAIC_BAD_MODEL;
    if (source.variable()) return load_variable(source, tensor);
    if (data) {
      tensor->data = const_cast<uint8_t *>(source.data()->data());
      tensor->constant = 1;
    }
    return TOSAIC_OK;
  }

  tosaic_status load_shape(const tosa::TosaShape &source, Tensor *tensor) {
    const size_t bytes = size_of(source.data());
    if (bytes < uint64_t{source.rank()} * 8 || source.rank() > 2 * TOSAIC_MAX_RANK) {
      return TOSAIC_BAD_MODEL;
    }
    static const int64_t empty = 0;
    *tensor = {bytes ? const_cast<uint8_t *>(source.data()->data())
                     : reinterpret_cast<uint8_t *>(const_cast<int64_t *>(&empty)),
               nullptr,
               source.rank() * 8,
               TOSAIC_SHAPE,
               0,
               1,
               0};
    return TOSAIC_OK;
  }

  // A variable is one tensor for all graphs, found by its name.
  tosaic_status load_variable(const tosa::TosaTensor &source, Tensor *tensor) {
    const auto name = [](const tosa::TosaTensor &t) {
      return size_of(t.variable_name()) ? t.variable_name() : t.name();
    };
    if (!name(source) || !size_of(source.data())) return TOSAIC_BAD_MODEL;
    Variable *found = nullptr;
    for (size_t k = 0; !found && k < model_->variable_count; k++) {
      Variable &variable = model_->variables[k];
      if (equal(*name(*variable.source), *name(source))) found = &variable;
    }
    if (!found) {
      found = &model_->variables[model_->variable_count++];
      *found = {&source, arena_.take<uint8_t>(tensor->bytes), tensor->bytes};
    } else if (found->source->type() != source.type() || found->bytes != tensor->bytes) {
      return TOSAIC_BAD_MODEL;
    }
    // Where the arena is too small this is no valid place, and init fails before it is used.
    tensor->data = found->data ? found->data : arena_.data();
    return TOSAIC_OK;
  }

  tosaic_status load_node(size_t graph_number, uint8_t *has_value, Node *node) {
    const Graph &graph = model_->graphs[graph_number];
    const uint16_t *operands = node->operands;
    if (size_of(node->source->inputs()) > kNone || size_of(node->source->outputs()) > kNone) {
      return TOSAIC_BAD_MODEL;
    }
    for (size_t k = 0; k < size_t{node->inputs} + node->outputs; k++) {
      if (operands[k] >= graph.tensor_count) return TOSAIC_BAD_MODEL;
      if (k < node->inputs && !has_value[operands[k]]) return TOSAIC_BAD_MODEL;
    }
    node->op = find_operator(graph, *node);
    if (!node->op) return TOSAIC_UNSUPPORTED;
    if ((node->op->inputs != tosaic_operator::kAny && node->op->inputs != node->inputs) ||
        (node->op->outputs != tosaic_operator::kAny && node->op->outputs != node->outputs)) {
      return TOSAIC_BAD_MODEL;
    }
    const bool declares = node->op->op == tosa::Op::VARIABLE;
    const bool writes = node->op->op == tosa::Op::VARIABLE_WRITE;
    for (size_t k = 0; k < node->outputs; k++) {
      // A variable has its value already; nothing else may be written again.
      const uint16_t index = operands[node->inputs + k];
      if (declares || writes ? !is_variable(graph, index) : has_value[index]) {
        return TOSAIC_BAD_MODEL;
      }
      has_value[index] = true;
    }
    if (node->op->aliases && node->inputs && node->outputs) {
      const Tensor &input = graph.tensors[operands[0]];
      Tensor &output = graph.tensors[operands[node->inputs]];
      const Step step{model_, &graph, node};
      if (input.constant && node->op->check(step) == TOSAIC_OK && node->op->aliases(step)) {
        output.data = input.data;
        output.constant = 1;
      }
    }
    if (node->op->flags & kCallsGraphs) {
      for (size_t k = 0; k < 2; k++) {
        const uint16_t callee = operands[node->inputs + node->outputs + k];
        if (callee <= graph_number || callee >= model_->graph_count) return TOSAIC_BAD_MODEL;
      }
    }
    return TOSAIC_OK;
  }

  bool is_variable(const Graph &graph, uint16_t index) const {
    return index < size_of(graph.block->tensors()) &&
           graph.block->tensors()->Get(index)->variable();
  }

  const tosaic_operator *find_operator(const Graph &graph, const Node &node) const {
    const tosa::TosaOperator &source = *node.source;
    const tosa::Op op = source.op();
    const bool access = op == tosa::Op::IDENTITY;
    for (size_t k = 0; k < config_.operators->count; k++) {
      const tosaic_operator *candidate = config_.operators->entries[k];
      const auto takes = [&](size_t input, uint8_t type) {
        return type == tosaic_operator::kAny ||
               (input < node.inputs && graph.tensors[node.operands[input]].type == type);
      };
      // tosa-opt writes accesses to variables as IDENTITY, told apart by the attribute.
      const bool same_op =
          candidate->op == op || (access && (candidate->op == tosa::Op::VARIABLE_READ ||
                                             candidate->op == tosa::Op::VARIABLE_WRITE));
      if (!same_op || candidate->attribute != source.attribute_type() || !source.attribute() ||
          !takes(0, candidate->type) || !takes(1, candidate->second)) {
        continue;
      }
      // Casts from one type differ in the result's.
      if (candidate->op == tosa::Op::CAST && node.outputs == 1 &&
          graph.tensors[node.operands[node.inputs]].type != candidate->result_type) {
        continue;
      }
      return candidate;
    }
    return nullptr;
  }

  tosaic_status check_graph(const Graph &graph) {
    for (size_t k = 0; k < graph.node_count; k++) {
      const Step step{model_, &graph, &graph.nodes[k]};
      const tosaic_status status = step.node->op->check(step);
      if (status != TOSAIC_OK) return failed_at(status, step);
    }
    return TOSAIC_OK;
  }

  tosaic_status place() {
    const size_t base = arena_.front();
    PlanReader reader(config_.plan, config_.plan_size);
    uint64_t end = 0;
    size_t scratch = 0;
    for (size_t k = 0; k < model_->graph_count; k++) {
      Graph &graph = model_->graphs[k];
      auto *readers = arena_.borrow<uint8_t>(graph.tensor_count);
      if (!readers) return TOSAIC_ARENA_TOO_SMALL;
      fuse(model_, &graph, readers);
      arena_.give_back();
      const uint32_t *offsets = nullptr;
      if (config_.plan) {
        GraphPlan plan;
        if (!reader.graph(graph.tensor_count, operand_count(*graph.block), &plan)) {
          return TOSAIC_BAD_PLAN;
        }
        graph.arena_bytes = plan.arena_bytes;
        offsets = plan.offsets;
      } else {
        auto *planned = arena_.borrow<uint32_t>(graph.tensor_count);
        auto *workspace = arena_.borrow<uint8_t>(planner_workspace(graph.tensor_count));
        if (!planned || !workspace) return TOSAIC_ARENA_TOO_SMALL;
        if (!plan_graph(model_, &graph, workspace, planned)) return TOSAIC_UNSUPPORTED;
        offsets = planned;
      }
      const tosaic_status status = bind(&graph, offsets, arena_.data() + base + graph.arena_base);
      if (status != TOSAIC_OK) return status;
      arena_.give_back();
      end = std::max(end, uint64_t{graph.arena_base} + graph.arena_bytes);
      if (end > kMaxTensorBytes) return TOSAIC_UNSUPPORTED;
      scratch = std::max(scratch, finish_graph(graph));
    }
    model_->tensors = arena_.take<uint8_t>(static_cast<size_t>(end));
    model_->scratch = arena_.take<uint8_t>(scratch);
    model_->scratch_bytes = static_cast<uint32_t>(scratch);
    if (!arena_.fits()) return TOSAIC_ARENA_TOO_SMALL;
    tosaic_model_reset(model_);
    return TOSAIC_OK;
  }

  // Gives each node those behind it that it does as well. `readers` has room for a count of each
  // tensor, in which 255 stands for more.
  static void fuse(const tosaic_model *model, Graph *graph, uint8_t *readers) {
    const auto count = [readers](uint16_t tensor) {
      if (readers[tensor] < 255) readers[tensor]++;
    };
    std::memset(readers, 0, graph->tensor_count);
    for (size_t k = 0; k < graph->output_count; k++) count(graph->outputs[k]);
    for (size_t n = 0; n < graph->node_count; n++) {
      const Node &node = graph->nodes[n];
      for (size_t k = 0; k < node.inputs; k++) count(node.operands[k]);
    }
    // Whether only nodes up to `end` read what node n writes.
    const auto stays_inside = [&](size_t n, size_t end) {
      const uint16_t tensor = graph->nodes[n].operands[graph->nodes[n].inputs];
      size_t inside = 0;
      for (size_t m = n + 1; m < end; m++) {
        const Node &reader = graph->nodes[m];
        for (size_t k = 0; k < reader.op->operands; k++) inside += reader.operands[k] == tensor;
      }
      return inside == readers[tensor];
    };
    const auto follows = [&](size_t n, tosa::Op op) {
      return n < graph->node_count && graph->nodes[n].op->op == op && stays_inside(n - 1, n + 1);
    };
    for (size_t n = 0; n < graph->node_count; n += size_t{1} + graph->nodes[n].fused) {
      Node &node = graph->nodes[n];
      if (node.op->flags & kFusesRescale) {
        if (!follows(n + 1, tosa::Op::RESCALE)) continue;
        node.fused = follows(n + 2, tosa::Op::CLAMP) ? 2 : 1;
        continue;
      }
      for (size_t length = std::min<size_t>(kMaxChain, graph->node_count - n); length > 1;
           length--) {
        bool fits = is_chain(model, *graph, n, length);
        for (size_t m = n; fits && m + 1 < n + length; m++) fits = stays_inside(m, n + length);
        if (!fits) continue;
        node.fused = static_cast<uint16_t>(length - 1);
        break;
      }
    }
  }

  static bool is_written(const Node *first, const Node *end, uint16_t tensor) {
    for (const Node *node = first; node < end; node++) {
      if (node->operands[node->inputs] == tensor) return true;
    }
    return false;
  }

  tosaic_status bind(Graph *graph, const uint32_t *offsets, uint8_t *memory) {
    for (size_t k = 0; k < graph->tensor_count; k++) {
      Tensor &tensor = graph->tensors[k];
      if (tensor.data || offsets[k] == kNoOffset) continue;  // in the model, a variable, or fused
      if (offsets[k] % TOSAIC_ALIGNMENT || offsets[k] > graph->arena_bytes ||
          tensor.bytes > graph->arena_bytes - offsets[k]) {
        return TOSAIC_BAD_PLAN;
      }
      tensor.data = memory + offsets[k];
    }
    for (size_t k = 0; k < graph->input_count; k++) {
      if (!graph->tensors[graph->inputs[k]].data) return TOSAIC_BAD_PLAN;
    }
    for (size_t n = 0; n < graph->node_count; n += size_t{1} + graph->nodes[n].fused) {
      const Node &node = graph->nodes[n];
      const Node &last = graph->nodes[n + node.fused];
      for (const Node *part = &node; part <= &last; part++) {
        for (size_t k = 0; k < part->inputs; k++) {
          const uint16_t tensor = part->operands[k];
          if (!graph->tensors[tensor].data && !is_written(&node, part, tensor)) {
            return TOSAIC_BAD_PLAN;
          }
        }
      }
      for (size_t k = 0; k < last.outputs; k++) {
        if (!graph->tensors[last.operands[last.inputs + k]].data) return TOSAIC_BAD_PLAN;
      }
    }
    return TOSAIC_OK;
  }

  // Tells the graphs it calls where its tensors end, and returns the scratch it needs.
  size_t finish_graph(const Graph &graph) {
    size_t scratch = 0;
    const uint32_t end =
        (graph.arena_base + graph.arena_bytes + TOSAIC_ALIGNMENT - 1) & ~(TOSAIC_ALIGNMENT - 1U);
    for (size_t n = 0; n < graph.node_count; n++) {
      const Node &node = graph.nodes[n];
      if (node.op->scratch) {
        scratch = std::max(scratch, node.op->scratch({model_, &graph, &node}));
      }
      if (!(node.op->flags & kCallsGraphs)) continue;
      for (size_t k = 0; k < 2; k++) {
        Graph &callee = model_->graphs[node.operands[node.inputs + node.outputs + k]];
        callee.arena_base = std::max(callee.arena_base, end);
      }
    }
    return scratch;
  }

  const tosaic_config &config_;
  Arena &arena_;
  const flatbuffers::Vector<flatbuffers::Offset<tosa::TosaRegion>> *regions_ = nullptr;
  tosaic_model *model_ = nullptr;
};

bool is_aligned(const void *pointer, size_t to) {
  return reinterpret_cast<uintptr_t>(pointer) % to == 0;
}

tosaic_status load(const tosaic_config *config, tosaic_model **model, size_t *needed) {
  if (!config || !config->model || !config->operators ||
      !is_aligned(config->model, TOSAIC_ALIGNMENT) ||
      !is_aligned(config->arena, TOSAIC_ALIGNMENT) || !is_aligned(config->plan, 4)) {
    return TOSAIC_BAD_ARGUMENT;
  }
  Arena arena(config->arena, config->arena ? config->arena_size : 0);
  const tosaic_status status = Loader(*config, &arena).load(model);
  *needed = arena.needed();
  return status;
}

}  // namespace

size_t loader_workspace(size_t tensor_count, bool planned) {
  const size_t spare = 2 * TOSAIC_ALIGNMENT;  // it is borrowed in up to two pieces
  if (planned) return tensor_count + spare;
  const size_t names = Names::slots(tensor_count) * sizeof(uint16_t) + tensor_count;
  const size_t planning = tensor_count * sizeof(uint32_t) + planner_workspace(tensor_count);
  return std::max(names, planning) + spare;
}

size_t operand_count(const tosa::TosaBasicBlock &block) {
  size_t count = size_of(block.inputs()) + size_of(block.outputs());
  for (size_t k = 0; k < size_of(block.operators()); k++) {
    const auto *op = block.operators()->Get(static_cast<flatbuffers::uoffset_t>(k));
    if (!is_constant_operator(op->op()))
      count += size_of(op->inputs()) + size_of(op->outputs()) + 2;
  }
  return count;
}

uint32_t structure_of(const tosaic_model &model) {
  uint32_t hash = 2166136261U;  // FNV-1a, by words
  const auto mix = [&hash](uint32_t value) { hash = (hash ^ value) * 16777619U; };
  for (size_t g = 0; g < model.graph_count; g++) {
    const tosa::TosaBasicBlock &block = *model.graphs[g].block;
    for (size_t k = 0; k < size_of(block.operators()); k++) {
      const auto *op = block.operators()->Get(static_cast<flatbuffers::uoffset_t>(k));
      mix(static_cast<uint32_t>(op->op()));
      mix(static_cast<uint32_t>(size_of(op->inputs()) << 16 | size_of(op->outputs())));
    }
    for (size_t k = 0; k < size_of(block.tensors()); k++) {
      const auto *tensor = block.tensors()->Get(static_cast<flatbuffers::uoffset_t>(k));
      mix(static_cast<uint32_t>(tensor->type()));
      for (size_t d = 0; d < size_of(tensor->shape()); d++) {
        mix(static_cast<uint32_t>(tensor->shape()->Get(static_cast<flatbuffers::uoffset_t>(d))));
      }
    }
  }
  return hash;
}

}  // namespace tosaic

tosaic_status tosaic_model_init(const tosaic_config *config, tosaic_model **model) {
  size_t needed = 0;
  return model ? tosaic::load(config, model, &needed) : TOSAIC_BAD_ARGUMENT;
}

tosaic_status tosaic_arena_size(const tosaic_config *config, size_t *size) {
  tosaic_model *model = nullptr;
  if (!size) return TOSAIC_BAD_ARGUMENT;
  return tosaic::load(config, &model, size);
}
