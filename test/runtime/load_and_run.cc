// Loads any bytes as a model and runs it, in memory that ends where the sanitizer notices. Bytes
// that end in "PLAN" have a memory plan behind the model, and its size in the 4 bytes before that.
//
// This is libFuzzer's target, and what mutate.cc calls:
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build/fuzz/runtime_fuzz -max_len=16384 -timeout=10 CORPUS_FOLDER
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "tosaic/runtime.h"

namespace {

constexpr size_t kMaxArena = 64 << 10;  // keeps a run short

// Memory of exactly `size` bytes at an aligned address.
class Memory {
 public:
  explicit Memory(size_t size) : size_(size) {
    if (posix_memalign(&data_, TOSAIC_ALIGNMENT, size ? size : 1)) abort();
  }
  ~Memory() { free(data_); }
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  void *data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void *data_ = nullptr;
  size_t size_;
};

bool custom(void *, const char *, const char *, const uint8_t *, size_t,
            const tosaic_tensor *const[], size_t, const tosaic_tensor *const[], size_t) {
  return true;
}

void fill(const tosaic_tensor &tensor) {
  auto *bytes = static_cast<uint8_t *>(tensor.data);
  for (uint32_t k = 0; k < tensor.bytes; k++) bytes[k] = static_cast<uint8_t>(k * 37 + 11);
}

// Every byte of every output, so that the sanitizer sees a pointer that is wrong.
unsigned sum(const tosaic_tensor &tensor) {
  unsigned total = 0;
  const auto *bytes = static_cast<const uint8_t *>(tensor.data);
  for (uint32_t k = 0; k < tensor.bytes; k++) total += bytes[k];
  return total;
}

}  // namespace

unsigned long models_run = 0;  // for mutate.cc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint32_t plan_size = 0;
  if (size >= 8 && memcmp(data + size - 4, "PLAN", 4) == 0) {
    memcpy(&plan_size, data + size - 8, sizeof(plan_size));
    if (plan_size > size - 8) plan_size = static_cast<uint32_t>(size - 8);
    size -= 8 + plan_size;
  }
  const Memory model_data(size), plan(plan_size);
  if (size) memcpy(model_data.data(), data, size);
  if (plan_size) memcpy(plan.data(), data + size, plan_size);
  tosaic_place failed = {};
  tosaic_config config = {};
  config.model = model_data.data();
  config.model_size = size;
  config.plan = plan_size ? plan.data() : nullptr;
  config.plan_size = plan_size;
  config.operators = &tosaic_all_operators;
  config.custom = custom;
  config.max_iterations = 3;
  config.failed = &failed;
  size_t needed = 0;
  tosaic_status status = TOSAIC_ARENA_TOO_SMALL;
  for (size_t arena = 0; status == TOSAIC_ARENA_TOO_SMALL; arena = needed) {
    if (arena > kMaxArena) return 0;
    const Memory workspace(arena);
    config.arena = workspace.data();
    config.arena_size = arena;
    status = tosaic_arena_size(&config, &needed);
    if (status == TOSAIC_ARENA_TOO_SMALL && needed <= arena) abort();
  }
  if (status != TOSAIC_OK) return 0;
  const Memory arena(needed);
  config.arena = arena.data();
  config.arena_size = arena.size();
  tosaic_model *model = nullptr;
  if (tosaic_model_init(&config, &model) != TOSAIC_OK) abort();
  for (size_t k = 0; k < tosaic_model_input_count(model); k++) fill(*tosaic_model_input(model, k));
  models_run++;
  static volatile unsigned total;
  if (tosaic_model_invoke(model) == TOSAIC_OK) {
    for (size_t k = 0; k < tosaic_model_output_count(model); k++) {
      total = total + sum(*tosaic_model_output(model, k));
    }
  }
  return 0;
}
