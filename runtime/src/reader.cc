#include "reader.h"

#include <algorithm>
#include <new>

#include "names.h"
#include "operators/operators.h"

namespace tosaic {
namespace {

constexpr size_t kMaxVariables = 256;

using StringVector = flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>;

bool is_constant_operator(const tosa::TosaOperator &op) {
  return op.op() == tosa::Op::CONST || op.op() == tosa::Op::CONST_SHAPE;
}

// Calls `visit` with each operator of a block that is not a constant.
template <class Visit>
void for_each_operator(const tosa::TosaBasicBlock &block, Visit visit) {
  for (size_t k = 0; k < size_of(block.operators()); k++) {
    const auto *op = block.operators()->Get(static_cast<flatbuffers::uoffset_t>(k));
    if (!is_constant_operator(*op)) visit(*op);
  }
}

}  // namespace

size_t Reader::workspace(size_t tensor_count) {
  const size_t spare = 2 * TOSAIC_ALIGNMENT;  // it is borrowed in up to two pieces
  const size_t names = Names::slots(tensor_count) * sizeof(uint16_t) + tensor_count;
  const size_t planning = tensor_count * sizeof(uint32_t) + planner_workspace(tensor_count);
  return std::max(names, planning) + spare;
}

tosaic_status Reader::read(tosaic_model **model) {
  tosaic_status status = verify();
  if (status == TOSAIC_OK) status = allocate();
  for (size_t k = 0; status == TOSAIC_OK && k < model_->graph_count; k++) {
    status = read_graph(k);
    arena_.give_back();
  }
  *model = model_;
  return status;
}

const tosa::TosaBasicBlock &Reader::block(size_t number) const {
  return *regions_->Get(static_cast<flatbuffers::uoffset_t>(number))->blocks()->Get(0);
}

tosaic_status Reader::verify() {
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
tosaic_status Reader::allocate() {
  const auto graph_count = static_cast<uint16_t>(regions_->size());
  auto *storage = arena_.take<tosaic_model>(1);
  auto *graphs = arena_.take<Graph>(graph_count);
  size_t variable_count = 0, largest = 0;
  for (size_t k = 0; k < graph_count; k++) {
    const tosa::TosaRegion *region = regions_->Get(static_cast<flatbuffers::uoffset_t>(k));
    if (!region->name() || size_of(region->blocks()) != 1) return TOSAIC_BAD_MODEL;
    const tosa::TosaBasicBlock &source = block(k);
    const size_t names = size_of(source.tensors()) + size_of(source.shapes());
    const size_t inputs = size_of(source.inputs()), outputs = size_of(source.outputs());
    if (names >= kNone || size_of(source.operators()) >= kNone) return TOSAIC_UNSUPPORTED;
    if (inputs >= kNone || outputs >= kNone) return TOSAIC_BAD_MODEL;
    size_t nodes = 0, operands = inputs + outputs, attributes = 0;
    for_each_operator(source, [&](const tosa::TosaOperator &op) {
      nodes++;
      operands += size_of(op.inputs()) + size_of(op.outputs());
      attributes += attribute_words(op.attribute_type());
    });
    for (size_t n = 0; n < size_of(source.tensors()); n++) {
      variable_count += source.tensors()->Get(static_cast<flatbuffers::uoffset_t>(n))->variable();
    }
    auto *node_memory = arena_.take<Node>(nodes);
    auto *tensor_memory = arena_.take<Tensor>(names);
    auto *operand_memory = arena_.take<uint16_t>(operands);
    auto *attribute_memory = arena_.take<int32_t>(attributes);
    if (graphs && arena_.fits()) {
      graphs[k] = {node_memory,
                   tensor_memory,
                   operand_memory,
                   attribute_memory,
                   0,
                   0,
                   static_cast<uint16_t>(nodes),
                   static_cast<uint16_t>(names),
                   static_cast<uint16_t>(inputs),
                   static_cast<uint16_t>(outputs)};
    }
    largest = std::max(largest, workspace(names));
  }
  if (variable_count > kMaxVariables) return TOSAIC_UNSUPPORTED;
  auto *variables = arena_.take<Variable>(variable_count);
  variable_sources_ = arena_.take<const tosa::TosaTensor *>(variable_count);
  arena_.borrow<uint8_t>(largest);
  arena_.give_back();
  if (!arena_.fits()) return TOSAIC_ARENA_TOO_SMALL;
  const tosaic_operator_table &table = *config_.operators;
  model_ = new (storage) tosaic_model{config_,     table.entries,
                                      graphs,      variables,
                                      nullptr,     nullptr,
                                      nullptr,     nullptr,
                                      graph_count, static_cast<uint16_t>(table.count),
                                      0,           0};
  return TOSAIC_OK;
}

tosaic_status Reader::read_graph(size_t number) {
  Graph &graph = model_->graphs[number];
  const tosa::TosaBasicBlock &source = block(number);
  const size_t tensors = size_of(source.tensors());
  for (size_t k = 0; k < graph.tensor_count; k++) {
    const auto at = static_cast<flatbuffers::uoffset_t>(k < tensors ? k : k - tensors);
    const tosaic_status status = k < tensors
                                     ? read_tensor(*source.tensors()->Get(at), &graph.tensors[k])
                                     : read_shape(*source.shapes()->Get(at), &graph.tensors[k]);
    if (status != TOSAIC_OK) return status;
  }
  const size_t slots = Names::slots(graph.tensor_count);
  auto *table = arena_.borrow<uint16_t>(slots);
  // Of each tensor whether it has a value yet, so that none is read first or written twice.
  auto *has_value = arena_.borrow<uint8_t>(graph.tensor_count);
  if (!table || !has_value) return TOSAIC_ARENA_TOO_SMALL;
  if (!resolve_names(number, table, slots)) return TOSAIC_BAD_MODEL;
  for (size_t k = 0; k < graph.tensor_count; k++) {
    has_value[k] = graph.tensors[k].constant || graph.tensors[k].data;  // or variable
  }
  for (size_t k = 0; k < graph.input_count; k++) {
    // A loop's body may repeat the data of a constant that it is given; what is given counts.
    const uint16_t index = graph.inputs()[k];
    Tensor &input = graph.tensors[index];
    if (has_value[index] && !input.constant) return TOSAIC_BAD_MODEL;
    if (input.constant) input.data = nullptr;
    input.constant = 0;
    has_value[index] = true;
  }
  tosaic_status status = TOSAIC_OK;
  Node *node = graph.nodes;
  Node next = {0, 0, 0, 0, 0, uint32_t{graph.input_count} + graph.output_count, 0};
  for_each_operator(source, [&](const tosa::TosaOperator &op) {
    if (status != TOSAIC_OK) return;
    *node = next;
    status = read_node(number, op, has_value, node);
    if (status != TOSAIC_OK && config_.failed) {
      *config_.failed = {static_cast<uint32_t>(number), static_cast<uint32_t>(node - graph.nodes),
                         static_cast<uint32_t>(op.op())};
    }
    next.operands += uint32_t{node->inputs} + node->outputs;
    next.attributes += attribute_words(op.attribute_type());
    node++;
  });
  for (size_t k = 0; status == TOSAIC_OK && k < graph.output_count; k++) {
    status = verdict(has_value[graph.outputs()[k]]);
  }
  return status;
}

// Fills the graph's operands.
bool Reader::resolve_names(size_t number, uint16_t *table, size_t slots) const {
  const Graph &graph = model_->graphs[number];
  const tosa::TosaBasicBlock &source = block(number);
  Names names(source, table, slots);
  for (size_t k = 0; k < graph.tensor_count; k++) {
    const auto index = static_cast<uint16_t>(k);
    if (!names.name_of(index) || !names.add(index)) return false;
  }
  auto *next = const_cast<uint16_t *>(graph.operands);
  bool found = true;
  const auto resolve = [&](const StringVector *list) {
    for (size_t k = 0; k < size_of(list); k++) {
      *next = names.find(*list->Get(static_cast<flatbuffers::uoffset_t>(k)));
      found &= *next++ != kNone;
    }
  };
  resolve(source.inputs());
  resolve(source.outputs());
  for_each_operator(source, [&](const tosa::TosaOperator &op) {
    resolve(op.inputs());
    resolve(op.outputs());
  });
  return found;
}

// The numbers of the regions that `op` calls, which must lie behind this one.
bool Reader::resolve_callees(size_t number, const tosa::TosaOperator &op, int32_t *callees) const {
  const flatbuffers::String *wanted[2] = {};
  if (const auto *cond_if = op.attribute_as_CondIfAttribute()) {
    wanted[0] = cond_if->then_graph();
    wanted[1] = cond_if->else_graph();
  } else if (const auto *while_loop = op.attribute_as_WhileLoopAttribute()) {
    wanted[0] = while_loop->cond_graph();
    wanted[1] = while_loop->body_graph();
  }
  for (size_t k = 0; k < 2; k++) {
    callees[k] = -1;
    for (size_t n = number + 1; wanted[k] && n < model_->graph_count; n++) {
      const auto *region = regions_->Get(static_cast<flatbuffers::uoffset_t>(n));
      if (equal(*region->name(), *wanted[k])) callees[k] = static_cast<int32_t>(n);
    }
  }
  return callees[0] >= 0 && callees[1] >= 0;
}

tosaic_status Reader::read_tensor(const tosa::TosaTensor &source, Tensor *tensor) {
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
  const uint64_t bytes = bytes_of(type, count);
  if (bytes > kMaxTensorBytes) return TOSAIC_UNSUPPORTED;
  *tensor = {nullptr, shape ? shape->data() : nullptr, static_cast<uint32_t>(bytes),
             type,    static_cast<uint8_t>(rank),      0,
             0};
  const size_t data = size_of(source.data());
  if (data && data < bytes) return TOSAIC_BAD_MODEL;
  if (source.variable()) return read_variable(source, tensor);
  if (data) {
    tensor->data = const_cast<uint8_t *>(source.data()->data());
    tensor->constant = 1;
  }
  return TOSAIC_OK;
}

tosaic_status Reader::read_shape(const tosa::TosaShape &source, Tensor *tensor) const {
  const size_t bytes = size_of(source.data());
  if (bytes < uint64_t{source.rank()} * 8 || source.rank() > 2 * TOSAIC_MAX_RANK) {
    return TOSAIC_BAD_MODEL;
  }
  // One without values is at the model's beginning.
  const void *data = bytes ? source.data()->data() : config_.model;
  *tensor = {const_cast<void *>(data), nullptr, source.rank() * 8U, TOSAIC_SHAPE, 0, 1, 0};
  return TOSAIC_OK;
}

// A variable is one tensor for all graphs, found by its name.
tosaic_status Reader::read_variable(const tosa::TosaTensor &source, Tensor *tensor) {
  const auto name = [](const tosa::TosaTensor &t) {
    return size_of(t.variable_name()) ? t.variable_name() : t.name();
  };
  if (!name(source) || !size_of(source.data())) return TOSAIC_BAD_MODEL;
  size_t number = 0;
  while (number < model_->variable_count &&
         !equal(*name(*variable_sources_[number]), *name(source))) {
    number++;
  }
  Variable &variable = model_->variables[number];
  if (number == model_->variable_count) {
    variable = {source.data()->data(), arena_.take<uint8_t>(tensor->bytes), tensor->bytes};
    variable_sources_[number] = &source;
    model_->variable_count++;
  } else if (variable_sources_[number]->type() != source.type() ||
             variable.bytes != tensor->bytes) {
    return TOSAIC_BAD_MODEL;
  }
  // Where the arena is too small this is no valid place, and init fails before it is used.
  tensor->data = variable.data ? variable.data : arena_.data();
  return TOSAIC_OK;
}

tosaic_status Reader::read_node(size_t number, const tosa::TosaOperator &source, uint8_t *has_value,
                                Node *node) {
  const Graph &graph = model_->graphs[number];
  if (size_of(source.inputs()) > kNone || size_of(source.outputs()) > kNone) {
    return TOSAIC_BAD_MODEL;
  }
  node->inputs = static_cast<uint16_t>(size_of(source.inputs()));
  node->outputs = static_cast<uint16_t>(size_of(source.outputs()));
  const uint16_t *inputs = graph.inputs(*node), *outputs = graph.outputs(*node);
  for (size_t k = 0; k < node->inputs; k++) {
    if (!has_value[inputs[k]]) return TOSAIC_BAD_MODEL;
  }
  if (!find_operator(graph, source, node)) return TOSAIC_UNSUPPORTED;
  const Step step{model_, &graph, node};
  const tosaic_operator &op = step.op();
  if (!op.takes(*node)) return TOSAIC_BAD_MODEL;
  const bool declares = op.op == tosa::Op::VARIABLE, writes = op.op == tosa::Op::VARIABLE_WRITE;
  for (size_t k = 0; k < node->outputs; k++) {
    // A variable has its value already; nothing else may be written again.
    if (declares || writes ? !is_variable(number, outputs[k]) : has_value[outputs[k]]) {
      return TOSAIC_BAD_MODEL;
    }
    has_value[outputs[k]] = true;
  }
  auto *words = const_cast<int32_t *>(step.attributes());
  const uint8_t type = node->inputs ? step.input(0).type : uint8_t{0};
  const bool written = op.flags & kCallsGraphs
                           ? resolve_callees(number, source, words)
                           : write_attributes(source, type, config_.model, words);
  if (!written) return TOSAIC_BAD_MODEL;
  if (op.aliases && step.input(0).constant && op.check(step) == TOSAIC_OK && op.aliases(step)) {
    Tensor &output = graph.tensors[outputs[0]];
    output.data = step.input(0).data;
    output.constant = 1;
  }
  return TOSAIC_OK;
}

bool Reader::is_variable(size_t number, uint16_t index) const {
  const auto *tensors = block(number).tensors();
  return index < size_of(tensors) && tensors->Get(index)->variable();
}

bool Reader::find_operator(const Graph &graph, const tosa::TosaOperator &source, Node *node) const {
  const tosa::Op op = source.op();
  const bool access = op == tosa::Op::IDENTITY;
  for (size_t k = 0; k < config_.operators->count; k++) {
    const tosaic_operator &candidate = *config_.operators->entries[k];
    // tosa-opt writes accesses to variables as IDENTITY, told apart by the attribute.
    const bool same_op =
        candidate.op == op || (access && (candidate.op == tosa::Op::VARIABLE_READ ||
                                          candidate.op == tosa::Op::VARIABLE_WRITE));
    if (!same_op || candidate.attribute.type != source.attribute_type() || !source.attribute() ||
        !candidate.reads(graph, *node)) {
      continue;
    }
    // Casts from one type differ in the result's.
    if (candidate.op == tosa::Op::CAST && node->outputs == 1 &&
        graph.tensors[graph.outputs(*node)[0]].type != candidate.result_type) {
      continue;
    }
    node->op = static_cast<uint16_t>(k);
    return true;
  }
  return false;
}

}  // namespace tosaic
