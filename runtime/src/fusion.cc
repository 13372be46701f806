// Which nodes run as one step.
#include <algorithm>
#include <cstring>

#include "model.h"

namespace tosaic {
namespace {

bool is(const tosaic_model *model, const Node &node, tosa::Op op) {
  return model->operators[node.op]->op == op;
}

}  // namespace

// A count of 255 in `readers` stands for more.
void fuse(const tosaic_model *model, Graph *graph, uint8_t *readers) {
  const auto count = [readers](uint16_t tensor) {
    if (readers[tensor] < 255) readers[tensor]++;
  };
  std::memset(readers, 0, graph->tensor_count);
  for (size_t k = 0; k < graph->output_count; k++) count(graph->outputs()[k]);
  for (size_t n = 0; n < graph->node_count; n++) {
    const Node &node = graph->nodes[n];
    for (size_t k = 0; k < node.inputs; k++) count(graph->inputs(node)[k]);
  }
  // Whether only nodes up to `end` read what node n writes.
  const auto stays_inside = [&](size_t n, size_t end) {
    const uint16_t tensor = graph->outputs(graph->nodes[n])[0];
    size_t inside = 0;
    for (size_t m = n + 1; m < end; m++) {
      const Node &reader = graph->nodes[m];
      const size_t operands = model->operators[reader.op]->operands;
      for (size_t k = 0; k < operands; k++) inside += graph->inputs(reader)[k] == tensor;
    }
    return inside == readers[tensor];
  };
  const auto follows = [&](size_t n, tosa::Op op) {
    return n < graph->node_count && is(model, graph->nodes[n], op) && stays_inside(n - 1, n + 1);
  };
  for (size_t n = 0; n < graph->node_count; n += size_t{1} + graph->nodes[n].fused) {
    Node &node = graph->nodes[n];
    if (model->operators[node.op]->flags & kFusesRescale) {
      if (!follows(n + 1, tosa::Op::RESCALE)) continue;
      node.fused = follows(n + 2, tosa::Op::CLAMP) ? 2 : 1;
      continue;
    }
    for (size_t length = std::min<size_t>(kMaxChain, graph->node_count - n); length > 1; length--) {
      bool fits = is_chain(model, *graph, n, length);
      for (size_t m = n; fits && m + 1 < n + length; m++) fits = stays_inside(m, n + length);
      if (!fits) continue;
      node.fused = static_cast<uint16_t>(length - 1);
      break;
    }
  }
}

bool is_written(const Graph &graph, const Node *first, const Node *end, uint16_t tensor) {
  for (const Node *node = first; node < end; node++) {
    if (graph.outputs(*node)[0] == tensor) return true;
  }
  return false;
}

bool has_memory(const Graph &graph) {
  for (size_t k = 0; k < graph.input_count; k++) {
    if (!graph.tensors[graph.inputs()[k]].data) return false;
  }
  for (size_t k = 0; k < graph.output_count; k++) {
    if (!graph.tensors[graph.outputs()[k]].data) return false;
  }
  for (size_t n = 0; n < graph.node_count; n += size_t{1} + graph.nodes[n].fused) {
    const Node &node = graph.nodes[n], &last = graph.nodes[n + node.fused];
    for (const Node *part = &node; part <= &last; part++) {
      const uint16_t *inputs = graph.inputs(*part);
      for (size_t k = 0; k < part->inputs; k++) {
        if (!graph.tensors[inputs[k]].data && !is_written(graph, &node, part, inputs[k])) {
          return false;
        }
      }
    }
    const uint16_t *outputs = graph.outputs(last);
    for (size_t k = 0; k < last.outputs; k++) {
      if (!graph.tensors[outputs[k]].data) return false;
    }
  }
  return true;
}

}  // namespace tosaic
