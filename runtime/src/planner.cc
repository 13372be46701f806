// Where a graph's tensors go in the arena, when the compiler has not planned it.
//
// Tensors that may share bytes (a RESHAPE's two ends, an elementwise operator's input that nobody
// reads later and its output) form one group. Groups are placed in order of falling size, each at
// the lowest place where no group that is alive at the same time lies (Pisarchyk and Lee, 2020,
// "Efficient memory management for deep neural net inference", greedy by size).
#include <algorithm>

#include "model.h"
#include "operators/operators.h"

namespace tosaic {
namespace {

struct Life {
  uint16_t group;  // the tensor that stands for the group
  uint16_t first;  // nodes between which it is alive; of the group, where it stands for one
  uint16_t last;
  uint16_t next;   // in the order of placing
  uint16_t above;  // in the order of offsets, among those placed
  uint32_t bytes;
};

constexpr uint16_t kNever = 0xffff;

class Planner {
 public:
  Planner(const tosaic_model *model, const Graph &graph, Life *lives, uint32_t *offsets)
      : model_(model), graph_(graph), lives_(lives), offsets_(offsets) {}

  uint32_t plan() {
    find_lives();
    for (size_t n = 0; n < graph_.node_count; n += size_t{1} + graph_.nodes[n].chained) join(n);
    return place();
  }

 private:
  bool in_arena(uint16_t tensor) const {
    return !graph_.tensors[tensor].data && lives_[tensor].first != kNever;
  }

  void find_lives() {
    for (size_t k = 0; k < graph_.tensor_count; k++) {
      lives_[k] = {static_cast<uint16_t>(k), kNever, 0, kNone, kNone, graph_.tensors[k].bytes};
      offsets_[k] = kNoOffset;
    }
    for (size_t k = 0; k < graph_.input_count; k++) lives_[graph_.inputs()[k]].first = 0;
    for (size_t n = 0; n < graph_.node_count; n += size_t{1} + graph_.nodes[n].chained) {
      const Node &node = graph_.nodes[n], &end = graph_.nodes[n + node.chained];
      const auto now = static_cast<uint16_t>(n);
      for (const Node *part = &node; part <= &end; part++) {
        for (size_t k = 0; k < part->inputs; k++) lives_[graph_.inputs(*part)[k]].last = now;
      }
      for (size_t k = 0; k < end.outputs; k++) {
        Life &life = lives_[graph_.outputs(end)[k]];
        life.first = life.last = now;
      }
    }
    for (size_t k = 0; k < graph_.output_count; k++) {
      lives_[graph_.outputs()[k]].last = graph_.node_count;
    }
  }

  // Let the output of node `n` share the bytes of an input, where it may.
  void join(size_t n) {
    const Node &node = graph_.nodes[n], &end = graph_.nodes[n + node.chained];
    if (end.outputs != 1) return;
    const uint16_t output = graph_.outputs(end)[0], first = graph_.inputs(node)[0];
    const tosaic_operator &op = *model_->operators[node.op];
    if (!in_arena(output)) return;
    if (op.aliases) {
      if (in_arena(first) && op.aliases({model_, &graph_, &node})) {
        join(first, output);
      }
      return;
    }
    const Tensor &y = graph_.tensors[output];
    for (const Node *part = &node; part <= &end; part++) {
      for (size_t k = 0; k < model_->operators[part->op]->operands; k++) {
        const uint16_t input = graph_.inputs(*part)[k];
        const Tensor &x = graph_.tensors[input];
        if (in_arena(input) && lives_[lives_[input].group].last == n && same_shape(x, y) &&
            element_size(x.type) >= element_size(y.type)) {
          return join(input, output);
        }
      }
    }
  }

  void join(uint16_t input, uint16_t output) {
    Life &group = lives_[lives_[input].group];
    lives_[output].group = lives_[input].group;
    group.last = std::max(group.last, lives_[output].last);
  }

  uint32_t place() {
    // A list of groups, largest first.
    uint16_t head = kNone;
    for (size_t k = 0; k < graph_.tensor_count; k++) {
      const auto tensor = static_cast<uint16_t>(k);
      if (!in_arena(tensor) || lives_[k].group != tensor) continue;
      uint16_t *link = &head;
      while (*link != kNone && lives_[*link].bytes >= lives_[k].bytes) link = &lives_[*link].next;
      lives_[k].next = *link;
      *link = tensor;
    }
    uint32_t end = 0;
    for (uint16_t group = head; group != kNone; group = lives_[group].next) {
      insert(group);
      end = std::max(end, offsets_[group] + lives_[group].bytes);
    }
    for (size_t k = 0; k < graph_.tensor_count; k++) {
      if (in_arena(static_cast<uint16_t>(k))) offsets_[k] = offsets_[lives_[k].group];
    }
    return end;
  }

  // Puts `group` at the lowest offset where it meets none of those placed before it.
  void insert(uint16_t group) {
    Life &life = lives_[group];
    uint32_t offset = 0;
    for (uint16_t k = lowest_; k != kNone; k = lives_[k].above) {
      const Life &other = lives_[k];
      if (other.first > life.last || life.first > other.last) continue;
      if (offsets_[k] >= offset + life.bytes) break;
      offset = std::max(offset, aligned(offsets_[k] + other.bytes));
    }
    offsets_[group] = offset;
    uint16_t *link = &lowest_;
    while (*link != kNone && offsets_[*link] <= offset) link = &lives_[*link].above;
    life.above = *link;
    *link = group;
  }

  static uint32_t aligned(uint32_t offset) {
    return (offset + TOSAIC_ALIGNMENT - 1) & ~(TOSAIC_ALIGNMENT - 1U);
  }

  const tosaic_model *model_;
  const Graph &graph_;
  Life *lives_;
  uint32_t *offsets_;
  uint16_t lowest_ = kNone;
};

}  // namespace

size_t planner_workspace(size_t tensor_count) { return tensor_count * sizeof(Life); }

bool plan_graph(const tosaic_model *model, Graph *graph, void *workspace, uint32_t *offsets) {
  uint64_t total = 0;
  for (size_t k = 0; k < graph->tensor_count; k++) {
    if (!graph->tensors[k].data) total += graph->tensors[k].bytes + uint64_t{TOSAIC_ALIGNMENT};
  }
  if (total > INT32_MAX) return false;  // no offset can overflow
  graph->arena_bytes = Planner(model, *graph, static_cast<Life *>(workspace), offsets).plan();
  return true;
}

}  // namespace tosaic
