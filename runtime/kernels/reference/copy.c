#include "../copy_bytes.h"

static inline void copy_row(char *to, const char *from, size_t bytes) {
  copy_bytes(to, from, bytes);
}

#include "../strided_copy.h"
