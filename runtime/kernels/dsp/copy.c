/* Copies by words: rows are often a few bytes, for which calling memcpy takes longer. */
#include <stdint.h>
#include <string.h>

static inline void copy_row(char *to, const char *from, size_t bytes) {
  for (; bytes >= 4; bytes -= 4, to += 4, from += 4) {
    uint32_t word; /* aligned or not */
    memcpy(&word, from, sizeof(word));
    memcpy(to, &word, sizeof(word));
  }
  for (; bytes; bytes--) *to++ = *from++;
}

#include "../strided_copy.h"
