// Running a loaded model, and what its user asks of it.
#include <cstring>

#include "model.h"

namespace tosaic {

tosaic_place place_of(const Step &step) {
  uint32_t number = 0;
  for (const Node *node = step.graph->nodes; node < step.node; node++) number += node->merged + 1U;
  return {static_cast<uint32_t>(step.graph - step.model->graphs), number,
          static_cast<uint32_t>(step.op().op)};
}

static void trace(const Step &step, bool begins) {
  const tosaic_place place = place_of(step);
  step.model->trace(step.model->trace_context, &place, begins);
}

tosaic_status run_graph(const tosaic_model *model, const Graph &graph) {
  for (size_t n = 0; n < graph.node_count; n += size_t{1} + graph.nodes[n].chained) {
    const Step step{model, &graph, &graph.nodes[n]};
    if (model->trace) trace(step, true);
    const tosaic_operator &op = step.op();
    const tosaic_status status = step.node->chained ? run_chain(step) : op.run(step);
    if (model->trace) trace(step, false);
    if (status != TOSAIC_OK) {
      // The innermost operator is the one to name; those around it fail with its status.
      const bool outer = op.flags & kCallsGraphs && status != TOSAIC_TOO_MANY_STEPS;
      if (model->settings.failed && !outer) *model->settings.failed = place_of(step);
      return status;
    }
  }
  return TOSAIC_OK;
}

}  // namespace tosaic

size_t tosaic_model_input_count(const tosaic_model *model) { return model->graphs[0].input_count; }

size_t tosaic_model_output_count(const tosaic_model *model) {
  return model->graphs[0].output_count;
}

const tosaic_tensor *tosaic_model_input(const tosaic_model *model, size_t index) {
  const tosaic::Graph &graph = model->graphs[0];
  return index < graph.input_count ? &graph.tensors[graph.inputs()[index]] : nullptr;
}

const tosaic_tensor *tosaic_model_output(const tosaic_model *model, size_t index) {
  const tosaic::Graph &graph = model->graphs[0];
  return index < graph.output_count ? &graph.tensors[graph.outputs()[index]] : nullptr;
}

tosaic_status tosaic_model_invoke(tosaic_model *model) {
  return tosaic::run_graph(model, model->graphs[0]);
}

void tosaic_model_reset(tosaic_model *model) {
  for (size_t k = 0; k < model->variable_count; k++) {
    const tosaic::Variable &variable = model->variables[k];
    std::memcpy(variable.data, variable.initial, variable.bytes);
  }
}

void tosaic_model_set_trace(tosaic_model *model, tosaic_trace *trace, void *context) {
  model->trace = trace;
  model->trace_context = context;
}

const char *tosaic_status_text(tosaic_status status) {
  switch (status) {
    case TOSAIC_OK:
      return "no error";
    case TOSAIC_BAD_ARGUMENT:
      return "a pointer is null or not aligned";
    case TOSAIC_BAD_MODEL:
      return "not a TOSA 1.x flatbuffer, or one that contradicts itself";
    case TOSAIC_BAD_PLAN:
      return "the memory plan does not belong to the model";
    case TOSAIC_UNSUPPORTED:
      return "an operator or type that this runtime has no kernel for";
    case TOSAIC_ARENA_TOO_SMALL:
      return "the arena is too small";
    case TOSAIC_BAD_INDEX:
      return "GATHER or SCATTER with an index out of range or given twice";
    case TOSAIC_TOO_MANY_STEPS:
      return "a WHILE_LOOP did not end within max_iterations";
    case TOSAIC_CUSTOM_FAILED:
      return "a custom operator's handler failed";
  }
  return "unknown status";
}
