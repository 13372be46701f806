/* The output stage of the MVE kernels: RESCALE of vectors of accumulators to int8.
 *
 * Of P = value * multiplier, 64 bits wide, MVE gives the upper half H = P >> 32 in one instruction
 * (VMULH). For shifts of 33 and more a rounding shift of H is TOSA's result: the bits that are lost
 * with the lower half lie below the bit that rounds. With double rounding VQRDMULH gives
 * (P + (1 << 30)) >> 31, which for a negative value is one more than TOSA's (P - (1 << 30)) >> 31;
 * the second rounding is again a rounding shift. Rescales of other forms go value by value.
 */
#ifndef TOSAIC_MVE_OUTPUT_H
#define TOSAIC_MVE_OUTPUT_H

#include <arm_mve.h>

#include "../arithmetic.h"
#include "scratch.h"

/* For functions with a constant argument that selects their code. */
#define TOSAIC_INLINE static inline __attribute__((always_inline))

static inline bool suits_vectors(const tosaic_rescale *rescale, size_t channels) {
  if (!rescale || !rescale->multiplier32 || rescale->output_type != TOSAIC_INT8) return false;
  if (rescale->output_zp < INT8_MIN || rescale->output_zp > INT8_MAX) return false;
  const size_t count = rescale->per_channel ? channels : 1;
  int32_t least_shift = INT32_MAX, largest_shift = 0, least_multiplier = INT32_MAX;
  for (size_t c = 0; c < count; c += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(count - c));
    const int32x4_t shift = vldrbq_z_s32(rescale->shift + c, lanes);
    const int32x4_t multiplier = vldrwq_z_s32(rescale->multiplier32 + c, lanes);
    least_shift = vminvq_p_s32(least_shift, shift, lanes);
    largest_shift = vmaxvq_p_s32(largest_shift, shift, lanes);
    least_multiplier = vminvq_p_s32(least_multiplier, multiplier, lanes);
  }
  return least_shift >= (rescale->double_round ? 31 : 33) && largest_shift <= 62 &&
         least_multiplier >= 0;
}

/* Multipliers of the channels from `channel` on, of which `lanes` are there. */
static inline int32x4_t multipliers_of(const tosaic_rescale *rescale, size_t channel,
                                       mve_pred16_t lanes) {
  if (!rescale->per_channel) return vdupq_n_s32(rescale->multiplier32[0]);
  return vldrwq_z_s32(rescale->multiplier32 + channel, lanes);
}

/* Likewise VRSHL's shifts of H, or of what VQRDMULH gives. */
static inline int32x4_t rounding_shifts(const tosaic_rescale *rescale, size_t channel,
                                        mve_pred16_t lanes) {
  const int32x4_t from = vdupq_n_s32(rescale->double_round ? 31 : 32);
  if (!rescale->per_channel) return vsubq_n_s32(from, rescale->shift[0]);
  return vsubq_s32(from, vldrbq_z_s32(rescale->shift + channel, lanes));
}

TOSAIC_INLINE int32x4_t rescaled(int32x4_t values, int32x4_t multiplier, int32x4_t shift,
                                 bool double_round) {
  if (!double_round) return vrshlq_s32(vmulhq_s32(values, multiplier), shift);
  const int32x4_t negative = vshrq_n_s32(vandq_s32(values, shift), 31);
  return vrshlq_s32(vaddq_s32(vqrdmulhq_s32(values, multiplier), negative), shift);
}

#endif
