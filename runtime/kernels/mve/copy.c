/* Copies by vectors: rows are often a few bytes, for which calling memcpy takes longer. */
#include <arm_mve.h>
#include <stddef.h>
#include <stdint.h>

static inline void copy_row(char *to, const char *from, size_t bytes) {
  uint8_t *y = (uint8_t *)to;
  const uint8_t *x = (const uint8_t *)from;
  for (; bytes > 16; bytes -= 16, x += 16, y += 16) vst1q_u8(y, vld1q_u8(x));
  const mve_pred16_t rest = vctp8q((uint32_t)bytes);
  vstrbq_p_u8(y, vldrbq_z_u8(x, rest), rest);
}

/* Vectors of single elements that become neighbours, as in most transpositions. An overlapping copy
 * has them behind their places, or in them: a vector is read ahead of what it overwrites.
 */
static inline size_t gather_some(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step,
                                 size_t count, size_t element_size) {
  size_t k = 0;
  if (to_step != (ptrdiff_t)element_size || from_step <= 0 || from_step > UINT16_MAX / 8) return 0;
  const uint16x8_t offsets = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)from_step);
  if (element_size == 1) {
    for (; k + 8 <= count; k += 8, to += 8, from += 8 * from_step)
      vstrbq_u16((uint8_t *)to, vldrbq_gather_offset_u16((const uint8_t *)from, offsets));
  } else if (element_size == 2) {
    for (; k + 8 <= count; k += 8, to += 16, from += 8 * from_step)
      vst1q_u16((uint16_t *)to, vldrhq_gather_offset_u16((const uint16_t *)from, offsets));
  } else if (element_size == 4) {
    const uint32x4_t wide = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)from_step);
    for (; k + 4 <= count; k += 4, to += 16, from += 4 * from_step)
      vst1q_u32((uint32_t *)to, vldrwq_gather_offset_u32((const uint32_t *)from, wide));
  }
  return k;
}

#define COPY_SOME gather_some
#include "../strided_copy.h"
