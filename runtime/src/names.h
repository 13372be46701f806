// The names of a block's tensors and shapes, in a hash table with open addressing.
#ifndef TOSAIC_RUNTIME_NAMES_H
#define TOSAIC_RUNTIME_NAMES_H

#include <cstring>

#include "model.h"

namespace tosaic {

template <class T>
size_t size_of(const flatbuffers::Vector<T> *vector) {
  return vector ? vector->size() : 0;
}

inline bool equal(const flatbuffers::String &a, const flatbuffers::String &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

class Names {
 public:
  static size_t slots(size_t count) {
    size_t slots = 4;
    while (slots < 2 * count) slots *= 2;
    return slots;
  }

  Names(const tosa::TosaBasicBlock &block, uint16_t *table, size_t slots)
      : block_(block), table_(table), mask_(slots - 1) {
    for (size_t k = 0; k < slots; k++) table_[k] = kNone;
  }

  // False where there is one of this name already.
  bool add(uint16_t index) {
    const flatbuffers::String &name = *name_of(index);
    size_t slot = hash_of(name) & mask_;
    for (; table_[slot] != kNone; slot = (slot + 1) & mask_) {
      if (equal(*name_of(table_[slot]), name)) return false;
    }
    table_[slot] = index;
    return true;
  }

  uint16_t find(const flatbuffers::String &name) const {
    size_t slot = hash_of(name) & mask_;
    for (; table_[slot] != kNone; slot = (slot + 1) & mask_) {
      if (equal(*name_of(table_[slot]), name)) return table_[slot];
    }
    return kNone;
  }

  const flatbuffers::String *name_of(uint16_t index) const {
    const size_t tensors = size_of(block_.tensors());
    if (index < tensors) return block_.tensors()->Get(index)->name();
    return block_.shapes()->Get(static_cast<flatbuffers::uoffset_t>(index - tensors))->name();
  }

 private:
  static uint32_t hash_of(const flatbuffers::String &name) {  // FNV-1a
    uint32_t hash = 2166136261U;
    for (const uint8_t c : name) hash = (hash ^ c) * 16777619U;
    return hash;
  }

  const tosa::TosaBasicBlock &block_;
  uint16_t *table_;
  size_t mask_;
};

}  // namespace tosaic

#endif
