// The two ways to make a model: from its flatbuffer alone, or with a plan.
#ifndef TOSAIC_RUNTIME_LOADER_H
#define TOSAIC_RUNTIME_LOADER_H

#include "arena.h"
#include "model.h"

namespace tosaic {

tosaic_status load_flatbuffer(const tosaic_config &config, Arena *arena, tosaic_model **model);
tosaic_status load_planned(const tosaic_config &config, Arena *arena, tosaic_model **model);

inline bool is_valid(const tosaic_config *config) {
  return config && config->model && config->operators && config->operators->count < kNone &&
         is_aligned(config->model, TOSAIC_ALIGNMENT) &&
         is_aligned(config->arena, TOSAIC_ALIGNMENT) && is_aligned(config->plan, 4);
}

inline Arena arena_of(const tosaic_config &config) {
  return {config.arena, config.arena ? config.arena_size : 0};
}

// Memory of all tensors together, and of scratch.
inline void place_tensors(size_t tensors, size_t scratch, Arena *arena, tosaic_model *model) {
  model->tensors = arena->take<uint8_t>(tensors);
  model->scratch = arena->take<uint8_t>(scratch);
  model->scratch_bytes = static_cast<uint32_t>(scratch);
}

}  // namespace tosaic

#endif
