/* Copies by vectors: rows are often a few bytes, for which calling memcpy takes longer. */
#include <arm_mve.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void copy_row(char *to, const char *from, size_t bytes) {
  uint8_t *y = (uint8_t *)to;
  const uint8_t *x = (const uint8_t *)from;
  for (; bytes > 16; bytes -= 16, x += 16, y += 16) vst1q_u8(y, vld1q_u8(x));
  const mve_pred16_t rest = vctp8q((uint32_t)bytes);
  vstrbq_p_u8(y, vldrbq_z_u8(x, rest), rest);
}

/* Vectors of single elements that become neighbours, or were neighbours, as in most transpositions.
 * An overlapping copy has them behind their places, or in them: a vector is read ahead of what it
 * overwrites.
 */
static inline size_t copy_some(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step,
                               size_t count, size_t element_size) {
  const ptrdiff_t element = (ptrdiff_t)element_size, largest = UINT16_MAX / 8;
  const bool gathers = to_step == element && from_step > 0 && from_step <= largest;
  const bool scatters = from_step == element && to_step > 0 && to_step <= largest;
  if (element_size > 2 || !(gathers || scatters)) return 0;
  const uint16x8_t offsets =
      vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)(gathers ? from_step : to_step));
  size_t k = 0;
  for (; k + 8 <= count; k += 8, to += 8 * to_step, from += 8 * from_step) {
    if (element_size == 1 && gathers) {
      vstrbq_u16((uint8_t *)to, vldrbq_gather_offset_u16((const uint8_t *)from, offsets));
    } else if (element_size == 1) {
      vstrbq_scatter_offset_u16((uint8_t *)to, offsets, vldrbq_u16((const uint8_t *)from));
    } else if (gathers) {
      vst1q_u16((uint16_t *)to, vldrhq_gather_offset_u16((const uint16_t *)from, offsets));
    } else {
      vstrhq_scatter_offset_u16((uint16_t *)to, offsets, vld1q_u16((const uint16_t *)from));
    }
  }
  return k;
}

#define COPY_SOME copy_some
#include "../strided_copy.h"
