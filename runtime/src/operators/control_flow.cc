// COND_IF and WHILE_LOOP, which run other graphs, and CUSTOM, which the user's code runs.
#include <cstring>

#include "operators.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

const Tensor &input_of(const Graph &graph, size_t k) { return graph.tensors[graph.inputs[k]]; }
const Tensor &output_of(const Graph &graph, size_t k) { return graph.tensors[graph.outputs[k]]; }

bool is_condition(const Tensor &tensor) {
  return is_type(tensor, TOSAIC_BOOL) && elements(tensor) == 1;
}

bool is_true(const Tensor &condition) { return *static_cast<const uint8_t *>(condition.data) != 0; }

void assign(const Tensor &from, const Tensor &to) {
  if (from.data != to.data) std::memcpy(to.data, from.data, to.bytes);
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
  return verdict(step.node->inputs && is_condition(step.input(0)) &&
                 takes(step, 1, step.callee(0)) && takes(step, 1, step.callee(1)) &&
                 gives(step, step.callee(0)) && gives(step, step.callee(1)));
}

tosaic_status run_cond_if(const Step &step) {
  const Graph &graph = step.callee(is_true(step.input(0)) ? 0 : 1);
  for (size_t k = 0; k < graph.input_count; k++) assign(step.input(1 + k), input_of(graph, k));
  const tosaic_status status = run_graph(step.model, graph);
  for (size_t k = 0; k < graph.output_count; k++) assign(output_of(graph, k), step.output(k));
  return status;
}

tosaic_status check_while_loop(const Step &step) {
  const Graph &condition = step.callee(0), &body = step.callee(1);
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
  const Graph &condition = step.callee(0), &body = step.callee(1);
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

tosaic_status check_custom(const Step &step) {
  if (!step.model->settings.custom) return TOSAIC_UNSUPPORTED;
  const auto *attribute = step.attribute<tosa::CustomAttribute>();
  return verdict(attribute->operator_name() && attribute->domain_name() &&
                 step.node->inputs <= kMaxCustomOperands &&
                 step.node->outputs <= kMaxCustomOperands);
}

tosaic_status run_custom(const Step &step) {
  const tosaic_config &settings = step.model->settings;
  const auto *attribute = step.attribute<tosa::CustomAttribute>();
  const auto *bytes = attribute->implementation_attrs();
  const Tensor *inputs[kMaxCustomOperands] = {}, *outputs[kMaxCustomOperands] = {};
  for (size_t k = 0; k < step.node->inputs; k++) inputs[k] = &step.input(k);
  for (size_t k = 0; k < step.node->outputs; k++) outputs[k] = &step.output(k);
  const bool done = settings.custom(settings.custom_context, attribute->domain_name()->c_str(),
                                    attribute->operator_name()->c_str(),
                                    bytes ? bytes->data() : nullptr, bytes ? bytes->size() : 0,
                                    inputs, step.node->inputs, outputs, step.node->outputs);
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
