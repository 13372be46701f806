// Makes a model of a flatbuffer alone: read it, check every operator, plan its memory.
//
// After that, running the model needs no checks but those of index values.
#include "loader.h"

#include <algorithm>

#include "operators/operators.h"
#include "reader.h"

namespace tosaic {
namespace {

tosaic_status check_graph(const tosaic_model &model, const Graph &graph) {
  for (size_t k = 0; k < graph.node_count; k++) {
    const Step step{&model, &graph, &graph.nodes[k]};
    const tosaic_status status = step.op().check(step);
    if (status == TOSAIC_OK) continue;
    if (model.settings.failed) *model.settings.failed = place_of(step);
    return status;
  }
  return TOSAIC_OK;
}

// Gives tensors that have no data yet their places in `memory`.
void bind(const uint32_t *offsets, uint8_t *memory, Graph *graph) {
  for (size_t k = 0; k < graph->tensor_count; k++) {
    Tensor &tensor = graph->tensors[k];
    if (!tensor.data && offsets[k] != kNoOffset) tensor.data = memory + offsets[k];
  }
}

// Tells the graphs it calls where its tensors end, and returns the scratch it needs.
size_t finish_graph(const tosaic_model &model, const Graph &graph) {
  size_t scratch = 0;
  const auto end =
      static_cast<uint32_t>(Arena::aligned(size_t{graph.arena_base} + graph.arena_bytes));
  for (size_t n = 0; n < graph.node_count; n++) {
    const Step step{&model, &graph, &graph.nodes[n]};
    if (step.op().scratch) scratch = std::max(scratch, step.op().scratch(step));
    if (!(step.op().flags & kCallsGraphs)) continue;
    for (size_t k = 0; k < 2; k++) {
      Graph &callee = model.graphs[step.attributes()[k]];
      callee.arena_base = std::max(callee.arena_base, end);
    }
  }
  return scratch;
}

tosaic_status place(tosaic_model *model, Arena *arena) {
  const size_t base = arena->front();
  uint64_t end = 0;
  size_t scratch = 0;
  for (size_t k = 0; k < model->graph_count; k++) {
    Graph &graph = model->graphs[k];
    auto *readers = arena->borrow<uint8_t>(graph.tensor_count);
    if (!readers) return TOSAIC_ARENA_TOO_SMALL;
    fuse(model, &graph, readers);
    arena->give_back();
    auto *offsets = arena->borrow<uint32_t>(graph.tensor_count);
    auto *workspace = arena->borrow<uint8_t>(planner_workspace(graph.tensor_count));
    if (!offsets || !workspace) return TOSAIC_ARENA_TOO_SMALL;
    if (!plan_graph(model, &graph, workspace, offsets)) return TOSAIC_UNSUPPORTED;
    bind(offsets, arena->data() + base + graph.arena_base, &graph);
    arena->give_back();
    if (!has_memory(graph)) return TOSAIC_BAD_MODEL;
    end = std::max(end, uint64_t{graph.arena_base} + graph.arena_bytes);
    if (end > kMaxTensorBytes) return TOSAIC_UNSUPPORTED;
    scratch = std::max(scratch, finish_graph(*model, graph));
  }
  place_tensors(static_cast<size_t>(end), scratch, arena, model);
  return arena->fits() ? TOSAIC_OK : TOSAIC_ARENA_TOO_SMALL;
}

tosaic_status load(const tosaic_config *config, tosaic_model **model, size_t *needed) {
  if (!is_valid(config)) return TOSAIC_BAD_ARGUMENT;
  Arena arena = arena_of(*config);
  const tosaic_status status =
      config->plan ? load_planned(*config, &arena, model) : load_flatbuffer(*config, &arena, model);
  *needed = arena.needed();
  return status;
}

}  // namespace

tosaic_status load_flatbuffer(const tosaic_config &config, Arena *arena, tosaic_model **model) {
  tosaic_status status = Reader(config, arena).read(model);
  for (size_t k = 0; status == TOSAIC_OK && k < (*model)->graph_count; k++) {
    status = check_graph(**model, (*model)->graphs[k]);
  }
  if (status == TOSAIC_OK) status = place(*model, arena);
  if (status == TOSAIC_OK) tosaic_model_reset(*model);
  return status;
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
