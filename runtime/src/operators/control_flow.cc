// COND_IF and WHILE_LOOP, which run other graphs, and CUSTOM, which the user's code runs.
#include <cstring>

#include "operators.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

const Tensor &input_of(const Graph &graph, size_t k) { return graph.tensors[graph.inputs()[k]]; }
const Tensor &output_of(const Graph &graph, size_t k) { return graph.tensors[graph.outputs()[k]]; }

const Graph &callee(const Step &step, size_t k) { return step.model->graphs[step.attributes()[k]]; }

// Graphs lie behind those that call them, which rules out recursion.
bool has_callees(const Step &step) {
  const auto caller = static_cast<int32_t>(step.graph - step.model->graphs);
  return in_range(step.attributes(), 2, caller + 1, step.model->graph_count - 1);
}

bool is_condition(const Tensor &tensor) {
  return is_type(tensor, TOSAIC_BOOL) && elements(tensor) == 1;
}

bool is_true(const Tensor &condition) { return *static_cast<const uint8_t *>(condition.data) != 0; }

void assign(const Tensor &from, const Tensor &to) {
  if (from.data != to.data) std::memmove(to.data, from.data, to.bytes);
}

// Whether the graph takes the step's inputs from number `first` on.
bool takes(const Step &step, size_t first, const Graph &graph) {
  if (graph.input_count + first != step.node->inputs) return false;
  for (size_t k = 0; k < graph.input_count; k++) {
    if (!same(step.input(first + k), input_of(graph, k))) return false;
  }
  return true;
}

bool gives(const Step &step, const Graph &graph) {
  if (graph.output_count != step.node->outputs) return false;
  for (size_t k = 0; k < graph.output_count; k++) {
    if (!same(step.output(k), output_of(graph, k))) return false;
  }
  return true;
}

tosaic_status check_cond_if(const Step &step) {
  return verdict(has_callees(step) && step.node->inputs && is_condition(step.input(0)) &&
                 takes(step, 1, callee(step, 0)) && takes(step, 1, callee(step, 1)) &&
                 gives(step, callee(step, 0)) && gives(step, callee(step, 1)));
}

tosaic_status run_cond_if(const Step &step) {
  const Graph &graph = callee(step, is_true(step.input(0)) ? 0 : 1);
  for (size_t k = 0; k < graph.input_count; k++) assign(step.input(1 + k), input_of(graph, k));
  const tosaic_status status = run_graph(step.model, graph);
  for (size_t k = 0; k < graph.output_count; k++) assign(output_of(graph, k), step.output(k));
  return status;
}

tosaic_status check_while_loop(const Step &step) {
  if (!has_callees(step)) return TOSAIC_BAD_MODEL;
  const Graph &condition = callee(step, 0), &body = callee(step, 1);
  bool fits = step.node->inputs == step.node->outputs && takes(step, 0, condition) &&
              takes(step, 0, body) && gives(step, body) && condition.output_count == 1 &&
              is_condition(output_of(condition, 0));
  for (size_t k = 0; fits && k < step.node->inputs; k++) {
    fits = same(step.input(k), step.output(k));
  }
  return verdict(fits);
}

// The operator's outputs carry the values from one iteration to the next.
tosaic_status run_while_loop(const Step &step) {
  const Graph &condition = callee(step, 0), &body = callee(step, 1);
  const size_t count = step.node->outputs;
  const uint32_t limit = step.model->settings.max_iterations;
  for (size_t k = 0; k < count; k++) assign(step.input(k), step.output(k));
  for (uint32_t iteration = 0;; iteration++) {
    for (size_t k = 0; k < count; k++) assign(step.output(k), input_of(condition, k));
    tosaic_status status = run_graph(step.model, condition);
    if (status != TOSAIC_OK || !is_true(output_of(condition, 0))) return status;
    if (limit && iteration >= limit) return TOSAIC_TOO_MANY_STEPS;
    for (size_t k = 0; k < count; k++) assign(step.output(k), input_of(body, k));
    status = run_graph(step.model, body);
    if (status != TOSAIC_OK) return status;
    for (size_t k = 0; k < count; k++) assign(output_of(body, k), step.output(k));
  }
}

// Bytes of the model, and in a string its end, from an offset and a size of the attribute.
const uint8_t *bytes_of(const Step &step, size_t k) {
  return static_cast<const uint8_t *>(step.model->settings.model) + step.attributes()[2 * k];
}

bool is_in_model(const Step &step, size_t k, bool string) {
  const int32_t offset = step.attributes()[2 * k], size = step.attributes()[2 * k + 1];
  const size_t model_size = step.model->settings.model_size;
  if (offset < 0 || size < 0 || static_cast<size_t>(offset) >= model_size ||
      static_cast<size_t>(size) >= model_size - static_cast<size_t>(offset)) {
    return false;
  }
  return !string || bytes_of(step, k)[size] == 0;
}

tosaic_status check_custom(const Step &step) {
  if (!step.model->settings.custom) return TOSAIC_UNSUPPORTED;
  return verdict(is_in_model(step, 0, true) && is_in_model(step, 1, true) &&
                 is_in_model(step, 2, false) && step.node->inputs <= kMaxCustomOperands &&
                 step.node->outputs <= kMaxCustomOperands);
}

tosaic_status run_custom(const Step &step) {
  const tosaic_config &settings = step.model->settings;
  const Tensor *inputs[kMaxCustomOperands] = {}, *outputs[kMaxCustomOperands] = {};
  for (size_t k = 0; k < step.node->inputs; k++) inputs[k] = &step.input(k);
  for (size_t k = 0; k < step.node->outputs; k++) outputs[k] = &step.output(k);
  const auto name = [&step](size_t k) { return reinterpret_cast<const char *>(bytes_of(step, k)); };
  const auto size = static_cast<size_t>(step.attributes()[5]);
  const bool done =
      settings.custom(settings.custom_context, name(1), name(0), size ? bytes_of(step, 2) : nullptr,
                      size, inputs, step.node->inputs, outputs, step.node->outputs);
  return done ? TOSAIC_OK : TOSAIC_CUSTOM_FAILED;
}

}  // namespace
}  // namespace tosaic

#define OPERATOR(NAME, OP, ATTRIBUTE, FLAGS)                                       \
  const tosaic_operator tosaic_op_##NAME = {tosa::Op::OP,                          \
                                            tosa::Attribute::ATTRIBUTE##Attribute, \
                                            tosaic_operator::kAny,                 \
                                            tosaic_operator::kAny,                 \
                                            tosaic_operator::kAny,                 \
                                            tosaic_operator::kAny,                 \
                                            FLAGS,                                 \
                                            tosaic::check_##NAME,                  \
                                            tosaic::run_##NAME,                    \
                                            nullptr,                               \
                                            nullptr,                               \
                                            {},                                    \
                                            0,                                     \
                                            0,                                     \
                                            nullptr};

OPERATOR(cond_if, COND_IF, CondIf, kCallsGraphs)
OPERATOR(while_loop, WHILE_LOOP, WhileLoop, kCallsGraphs)
OPERATOR(custom, CUSTOM, Custom, 0)
