// Which operators run as one.
#include <algorithm>
#include <cstring>

#include "model.h"

namespace tosaic {
namespace {

bool is(const tosaic_model *model, const Node &node, tosa::Op op) {
  return model->operators[node.op]->op == op;
}

// Moves nodes, with their operands and attributes, to the front of their tables.
class Mover {
 public:
  explicit Mover(const tosaic_model *model, Graph *graph)
      : model_(model),
        graph_(graph),
        operand_(graph->input_count + uint32_t{graph->output_count}) {}

  // The node, without its last output where nodes are merged into it.
  Node *move(const Node &node, uint8_t merged) {
    Node *out = &graph_->nodes[count_++];
    const Node from = node;  // which *out may be
    *out = {from.op, 0, 0, from.inputs, from.outputs, operand_, attribute_};
    copy(from, 0, uint32_t{from.inputs} + (merged ? 0 : from.outputs),
         model_->operators[from.op]->attribute.words);
    return out;
  }

  // What a RESCALE or CLAMP adds to the node moved last: operands from number `first` on, the last
  // of them only where it is the node's output.
  void merge(const Node &node, bool last, Node *into) {
    const uint32_t inputs = node.inputs - 1U;
    copy(node, 1, inputs + (last ? 1 : 0), model_->operators[node.op]->attribute.words);
    into->inputs = static_cast<uint16_t>(into->inputs + inputs);
    into->merged++;
  }

  void finish() { graph_->node_count = static_cast<uint16_t>(count_); }

 private:
  void copy(const Node &from, uint32_t first, uint32_t operands, uint32_t attributes) {
    auto *const to = const_cast<uint16_t *>(graph_->operands);  // the loader's own
    auto *const words = const_cast<int32_t *>(graph_->attributes);
    const uint32_t source = from.operands + first;
    for (uint32_t k = 0; k < operands; k++) to[operand_++] = to[source + k];
    for (uint32_t k = 0; k < attributes; k++) words[attribute_++] = words[from.attributes + k];
  }

  const tosaic_model *model_;
  Graph *graph_;
  uint32_t operand_;
  uint32_t attribute_ = 0;
  size_t count_ = 0;
};

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
  Mover mover(model, graph);
  for (size_t n = 0; n < graph->node_count;) {
    const Node &node = graph->nodes[n];
    uint8_t merged = 0, length = 1;
    if (model->operators[node.op]->flags & kFusesRescale) {
      if (follows(n + 1, tosa::Op::RESCALE)) merged = follows(n + 2, tosa::Op::CLAMP) ? 2 : 1;
    } else {
      length = static_cast<uint8_t>(std::min<size_t>(kMaxChain, graph->node_count - n));
      for (; length > 1; length--) {
        bool fits = is_chain(model, *graph, n, length);
        for (size_t m = n; fits && m + 1 < n + length; m++) fits = stays_inside(m, n + length);
        if (fits) break;
      }
    }
    Node *out = mover.move(node, merged);
    for (uint8_t k = 1; k <= merged; k++) mover.merge(graph->nodes[n + k], k == merged, out);
    for (uint8_t k = 1; k < length; k++) mover.move(graph->nodes[n + k], 0);
    out->chained = static_cast<uint8_t>(length - 1);
    n += size_t{merged} + length;
  }
  mover.finish();
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
  for (size_t n = 0; n < graph.node_count; n += size_t{1} + graph.nodes[n].chained) {
    const Node &node = graph.nodes[n], &last = graph.nodes[n + node.chained];
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
