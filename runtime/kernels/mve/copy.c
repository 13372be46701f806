/* Copies by vectors: rows are often a few bytes, for which calling memcpy takes longer. */
#include <arm_mve.h>
#include <stddef.h>

static inline void copy_row(char *to, const char *from, size_t bytes) {
  uint8_t *y = (uint8_t *)to;
  const uint8_t *x = (const uint8_t *)from;
  for (; bytes > 16; bytes -= 16, x += 16, y += 16) vst1q_u8(y, vld1q_u8(x));
  const mve_pred16_t rest = vctp8q((uint32_t)bytes);
  vstrbq_p_u8(y, vldrbq_z_u8(x, rest), rest);
}

#include "../strided_copy.h"
