/* Copies by vectors: rows are often a few bytes, for which calling memcpy takes longer. */
#include <arm_mve.h>
#include <stddef.h>

static inline void copy_row(char *to, const char *from, size_t bytes) {
  for (size_t done = 0; done < bytes; done += 16) {
    const mve_pred16_t p = vctp8q((uint32_t)(bytes - done));
    const uint8x16_t row = vldrbq_z_u8((const uint8_t *)from + done, p);
    vstrbq_p_u8((uint8_t *)to + done, row, p);
  }
}

#include "../strided_copy.h"
