// The caller's arena while a model is loaded.
#ifndef TOSAIC_RUNTIME_ARENA_H
#define TOSAIC_RUNTIME_ARENA_H

#include "tosaic/runtime.h"

namespace tosaic {

// Memory from both ends: the model's own from the front, what is needed only while loading from the
// back. After it has run out it keeps adding up, so that `needed` is right.
class Arena {
 public:
  Arena(void *data, size_t size) : data_(static_cast<uint8_t *>(data)), size_(size) {}

  template <class T>
  T *take(size_t count) {
    front_ = aligned(front_);
    const size_t at = front_;
    front_ += count * sizeof(T);
    note();
    return fits() ? reinterpret_cast<T *>(data_ + at) : nullptr;
  }

  template <class T>
  T *borrow(size_t count) {
    back_ = aligned(back_ + count * sizeof(T));
    note();
    return fits() ? reinterpret_cast<T *>(data_ + (size_ - size_ % TOSAIC_ALIGNMENT) - back_)
                  : nullptr;
  }

  void give_back() { back_ = 0; }
  bool fits() const { return needed_ <= size_ - size_ % TOSAIC_ALIGNMENT; }
  size_t needed() const { return needed_; }
  size_t front() const { return aligned(front_); }
  uint8_t *data() const { return data_; }

  static size_t aligned(size_t size) {
    return (size + TOSAIC_ALIGNMENT - 1) / TOSAIC_ALIGNMENT * TOSAIC_ALIGNMENT;
  }

 private:
  void note() {
    const size_t now = aligned(front_) + back_;
    if (now > needed_) needed_ = now;
  }

  uint8_t *data_;
  size_t size_;
  size_t front_ = 0;
  size_t back_ = 0;
  size_t needed_ = 0;
};

inline bool is_aligned(const void *pointer, size_t to) {
  return reinterpret_cast<uintptr_t>(pointer) % to == 0;
}

}  // namespace tosaic

#endif
