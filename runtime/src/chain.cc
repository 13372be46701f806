// Runs a chain of elementwise operators piece by piece, so that the tensors between them never
// exist: a quantised ADD is RESCALE, RESCALE, ADD, RESCALE with three int32 tensors otherwise.
#include <algorithm>

#include "model.h"
#include "operators/operators.h"

namespace tosaic {
namespace {

constexpr size_t kPiece = 64;  // elements
constexpr size_t kMaxOperands = 3;

// Where an operand of a chain comes from.
struct Source {
  const char *data;  // of the first piece
  size_t advance;    // bytes from one piece to the next
  size_t step;
};

bool is_per_channel(const Step &step) {
  return step.op().op == tosa::Op::RESCALE && step.attributes()[0] & kPerChannel;
}

}  // namespace

bool is_chain(const tosaic_model *model, const Graph &graph, size_t first, size_t count) {
  for (size_t n = first; n < first + count; n++) {
    const Step step{model, &graph, &graph.nodes[n]};
    const Tensor &y = step.output(0);
    if (!step.op().operands || is_per_channel(step) ||
        !same_shape(y, Step{model, &graph, &graph.nodes[first]}.output(0))) {
      return false;
    }
    for (size_t k = 0; k < step.op().operands; k++) {
      const Tensor &x = step.input(k);
      if (x.type == TOSAIC_INT48 || (!same_shape(x, y) && elements(x) != 1)) return false;
    }
  }
  return true;
}

tosaic_status run_chain(const Step &step) {
  const size_t count = size_t{1} + step.node->chained;
  const auto first = static_cast<size_t>(step.node - step.graph->nodes);
  if (count > kMaxChain || !is_chain(step.model, *step.graph, first, count)) {
    return TOSAIC_BAD_MODEL;
  }
  for (size_t n = 0; n < count; n++) {
    const Step part = step.behind(n);
    if (part.op().check(part) != TOSAIC_OK) return TOSAIC_BAD_MODEL;
  }
  const Tensor &result = step.behind(count - 1).output(0);
  const size_t total = elements(result);
  int32_t between[kMaxChain - 1][kPiece];
  Argument storage[kMaxChain];
  const void *argument[kMaxChain];
  Source source[kMaxChain][kMaxOperands];
  for (size_t n = 0; n < count; n++) {
    const Step part = step.behind(n);
    const tosaic_operator *op = &part.op();
    argument[n] = op->argument ? op->argument(part, &storage[n]) : nullptr;
    for (size_t k = 0; k < op->operands; k++) {
      const Tensor &x = part.input(k);
      const bool repeats = elements(x) == 1;
      source[n][k] = {static_cast<const char *>(x.data),
                      repeats ? 0 : kPiece * element_size(x.type), repeats ? size_t{0} : size_t{1}};
      for (size_t m = 0; m < n; m++) {
        if (&x == &step.behind(m).output(0)) {
          source[n][k] = {reinterpret_cast<const char *>(between[m]), 0, 1};
        }
      }
    }
  }
  auto *output = static_cast<char *>(result.data);
  const size_t output_advance = kPiece * element_size(result.type);
  for (size_t done = 0, piece = 0; done < total; done += kPiece, piece++) {
    const size_t size = std::min(kPiece, total - done);
    for (size_t n = 0; n < count; n++) {
      const tosaic_operator *op = step.model->operators[step.node[n].op];
      const void *inputs[kMaxOperands];
      size_t steps[kMaxOperands];
      for (size_t k = 0; k < op->operands; k++) {
        inputs[k] = source[n][k].data + piece * source[n][k].advance;
        steps[k] = source[n][k].step;
      }
      void *const to =
          n + 1 < count ? static_cast<void *>(between[n]) : output + piece * output_advance;
      op->kernel.row(size, inputs, steps, to, argument[n]);
    }
  }
  return TOSAIC_OK;
}

}  // namespace tosaic
