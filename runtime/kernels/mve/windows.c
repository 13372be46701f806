/* Windows of convolutions, gathered by vectors. See matrix.c for the loops in assembly. */
#include <stddef.h>
#include <stdint.h>

#include "scratch.h"

static inline void copy_rows(int8_t *to, size_t to_step, const int8_t *from, size_t from_step,
                             size_t bytes, int32_t rows) {
  const size_t rounded = (bytes + 15) & ~(size_t)15; /* what the pointers go on by themselves */
  if (bytes == 0 || rows <= 0) return;
  __asm__ volatile(
      "1: dlstp.8 lr, %[bytes]\n"
      "2: vldrb.8 q0, [%[from]], #16\n"
      "vstrb.8 q0, [%[to]], #16\n"
      "letp lr, 2b\n"
      "subs %[rows], %[rows], #1\n"
      "add %[from], %[from], %[from_step]\n"
      "add %[to], %[to], %[to_step]\n"
      "bne 1b\n"
      : [to] "+r"(to), [from] "+r"(from), [rows] "+r"(rows)
      : [bytes] "r"(bytes), [to_step] "r"(to_step - rounded), [from_step] "r"(from_step - rounded)
      : "q0", "lr", "cc", "memory");
}

static inline void fill(int8_t *to, int32_t value, size_t count) {
  __asm__ volatile(
      "vdup.8 q0, %[value]\n"
      "wlstp.8 lr, %[count], 2f\n"
      "1: vstrb.8 q0, [%[to]], #16\n"
      "letp lr, 1b\n"
      "2:\n"
      : [to] "+r"(to)
      : [count] "r"(count), [value] "r"(value)
      : "q0", "lr", "memory");
}

#include "../matrix/windows_loops.h"
