/* Copies that a damaged plan cannot turn into undefined behaviour by letting tensors overlap. */
#ifndef TOSAIC_KERNELS_COPY_BYTES_H
#define TOSAIC_KERNELS_COPY_BYTES_H

#include <stdint.h>
#include <string.h>

/* memcpy wherever it is defined: small C libraries have a memmove that goes byte by byte. */
static inline void copy_bytes(void *to, const void *from, size_t size) {
  const uintptr_t a = (uintptr_t)to, b = (uintptr_t)from;
  if (a - b < size || b - a < size) {
    memmove(to, from, size);
  } else {
    memcpy(to, from, size);
  }
}

#endif
