// A model made ready to run: tensors, nodes and graphs. The flatbuffer reader makes these tables in
// the arena; a plan holds them made, and all but the tensors are used where they are, in flash.
//
// A graph is one region of the model; graph 0 is main. Operands are indices of `tensors`, first the
// block's tensors and then its shapes. Nodes are the operators in file order, which is the order
// they run in, without constants. Two things run fused, and the tensors inside have no memory:
// a RESCALE and a CLAMP behind an accumulator are merged into its node, and a chain of elementwise
// operators, whose nodes stay, runs piece by piece.
#ifndef TOSAIC_RUNTIME_MODEL_H
#define TOSAIC_RUNTIME_MODEL_H

#include "attributes.h"
#include "tosaic/runtime.h"

namespace tosaic {

using Tensor = tosaic_tensor;

struct Node {
  uint16_t op;      // index of tosaic_model.operators
  uint8_t merged;   // a RESCALE behind it (1), or a RESCALE and a CLAMP (2), that it does as well
  uint8_t chained;  // how many nodes behind it are of its chain, which it runs
  uint16_t inputs;  // with those of the RESCALE but the first
  uint16_t outputs;
  uint32_t operands;    // where in Graph.operands its inputs and then its outputs begin
  uint32_t attributes;  // likewise in Graph.attributes
};

struct Graph {
  Node *nodes;
  Tensor *tensors;
  const uint16_t *operands;  // the graph's inputs, its outputs, and those of each node
  const int32_t *attributes;
  uint32_t arena_bytes;  // of the tensors it computes
  uint32_t arena_base;   // behind those of the graphs that call it
  uint16_t node_count;
  uint16_t tensor_count;
  uint16_t input_count;
  uint16_t output_count;

  const uint16_t *inputs() const { return operands; }
  const uint16_t *outputs() const { return operands + input_count; }
  const uint16_t *inputs(const Node &node) const { return operands + node.operands; }
  const uint16_t *outputs(const Node &node) const { return inputs(node) + node.inputs; }
};

struct Variable {
  const uint8_t *initial;
  uint8_t *data;
  uint32_t bytes;
};

// One node of a graph, as operators see it.
struct Step {
  const tosaic_model *model;
  const Graph *graph;
  const Node *node;

  const tosaic_operator &op() const;
  const Tensor &input(size_t k) const { return graph->tensors[graph->inputs(*node)[k]]; }
  const Tensor &output(size_t k) const { return graph->tensors[graph->outputs(*node)[k]]; }
  // The values of its attribute, in the order that attributes.h tells.
  const int32_t *attributes() const { return graph->attributes + node->attributes; }
  // The step `count` nodes later.
  Step behind(size_t count) const { return {model, graph, node + count}; }
};

// What a row kernel is told beside its operands.
union Argument {
  bool round;
  bool ignore_nan;
  tosaic_clamp clamp;
  tosaic_clamp_float clamp_float;
  tosaic_negate negate;
  struct Rescale {
    tosaic_rescale rescale;
    uint8_t type;
    bool input_unsigned;
  } rescale;
};

constexpr uint16_t kNone = 0xffff;
constexpr uint16_t kMaxChain = 6;  // operators in one chain
// What a merged RESCALE adds: multiplier, shift and zero points; its flags, and a CLAMP's limits.
constexpr uint16_t kRescaleInputs = 4;
constexpr uint8_t kMaxMerged = 2;
constexpr uint32_t kMergedAttributes[kMaxMerged + 1] = {
    0, attribute_words(tosa::Attribute::RescaleAttribute),
    attribute_words(tosa::Attribute::RescaleAttribute) +
        attribute_words(tosa::Attribute::ClampAttribute)};
constexpr size_t kMaxCustomOperands = 16;
constexpr uint32_t kMaxTensorBytes = 1U << 30;

}  // namespace tosaic

struct tosaic_model {
  tosaic_config settings;
  const tosaic_operator *const *operators;
  tosaic::Graph *graphs;
  tosaic::Variable *variables;
  uint8_t *tensors;  // where the graphs' arena_base counts from
  void *scratch;
  tosaic_trace *trace;
  void *trace_context;
  uint16_t graph_count;
  uint16_t operator_count;
  uint16_t variable_count;
  uint32_t scratch_bytes;
};

// How an operator takes part in planning.
enum : uint8_t {
  kFusesRescale = 1,  // takes a RESCALE and a CLAMP that follow
  kCallsGraphs = 2,
  kChecksWhenRun = 4,  // run does what check does
};

struct tosaic_operator {
  static constexpr uint8_t kAny = 0xff;

  tosa::Op op;
  tosaic::AttributeType attribute;
  uint8_t type;    // of the first input, or kAny
  uint8_t second;  // of the second input, or kAny
  uint8_t inputs;  // how many, or kAny
  uint8_t outputs;
  uint8_t flags;
  // Types, shapes and attributes fit each other, so that run stays inside the tensors.
  tosaic_status (*check)(const tosaic::Step &step);
  tosaic_status (*run)(const tosaic::Step &step);
  // All that follow may be null or 0.
  size_t (*scratch)(const tosaic::Step &step);
  // Whether the output is the beginning of the first input's bytes.
  bool (*aliases)(const tosaic::Step &step);
  // For families whose members differ in little more than the kernel.
  union Kernel {
    constexpr Kernel() : none(nullptr) {}
    constexpr Kernel(tosaic_row *kernel) : row(kernel) {}
    constexpr Kernel(tosaic_reduce *kernel) : reduce(kernel) {}
    const void *none;
    tosaic_row *row;
    tosaic_reduce *reduce;
  } kernel;
  uint8_t result_type;
  // Elementwise operators: how many operands kernel.row has, and what its argument is, which may
  // be in *storage. The output may overwrite an operand.
  uint8_t operands;
  const void *(*argument)(const tosaic::Step &step, tosaic::Argument *storage);

  // Whether it has as many inputs and outputs as the node.
  bool takes(const tosaic::Node &node) const {
    const uint16_t own = node.merged ? node.inputs - tosaic::kRescaleInputs : node.inputs;
    return (inputs == kAny || inputs == own) && (outputs == kAny || outputs == node.outputs);
  }

  // Whether the node's inputs, which are tensors of the graph, have the types that it computes
  // with.
  bool reads(const tosaic::Graph &graph, const tosaic::Node &node) const {
    const uint16_t *const tensors = graph.inputs(node);
    return (type == kAny || (node.inputs > 0 && graph.tensors[tensors[0]].type == type)) &&
           (second == kAny || (node.inputs > 1 && graph.tensors[tensors[1]].type == second));
  }

  // How many words of attributes the node has.
  uint32_t words(const tosaic::Node &node) const {
    return attribute.words + tosaic::kMergedAttributes[node.merged];
  }
};

namespace tosaic {

inline const tosaic_operator &Step::op() const { return *model->operators[node->op]; }

// Offsets into the arena for all tensors of `graph`; `workspace` has planner_workspace bytes.
// Tensors without memory get kNoOffset.
constexpr uint32_t kNoOffset = 0xffffffff;
size_t planner_workspace(size_t tensor_count);
bool plan_graph(const tosaic_model *model, Graph *graph, void *workspace, uint32_t *offsets);

// Merges nodes and tells which are chains. `readers` has room for a count of each tensor.
void fuse(const tosaic_model *model, Graph *graph, uint8_t *readers);

// Whether a node from `first` on and ahead of `end`, all of one step, writes the tensor.
bool is_written(const Graph &graph, const Node *first, const Node *end, uint16_t tensor);

// Whether every tensor that a step needs has memory, but for those inside of the step.
bool has_memory(const Graph &graph);

tosaic_place place_of(const Step &step);

// Whether the operators of nodes `first` to `first` + `count` - 1 can run as one chain:
// elementwise, of one shape but for operands of one element, and with kernels for rows.
bool is_chain(const tosaic_model *model, const Graph &graph, size_t first, size_t count);
tosaic_status run_chain(const Step &step);

tosaic_status run_graph(const tosaic_model *model, const Graph &graph);

}  // namespace tosaic

#endif
