/* RESCALE of a whole tensor in 32-bit arithmetic, where its form allows that: with the upper half
 * of the product (see mve/output.h for why that is exact).
 */
#ifndef TOSAIC_KERNELS_RESCALE_FORM_H
#define TOSAIC_KERNELS_RESCALE_FORM_H

#include "tosaic/kernels.h"

/* A multiplier of 1 << 30 with a shift of at most 30 is EXACT: a shift to the left by `up`, as
 * between the types of a softmax; of values of 31 bits it saturates. Otherwise a shift below 33 is
 * made up for by shifting the value to the left before, by `up`; what is left of the shift, `down`,
 * is at least 1 and rounds half up.
 */
typedef enum tosaic_rounding {
  TOSAIC_EXACT,
  TOSAIC_ROUND_ONCE,
  TOSAIC_ROUND_TWICE
} tosaic_rounding;

typedef struct tosaic_form {
  int32_t multiplier, up, down;
  tosaic_rounding rounding;
} tosaic_form;

/* For values of at most `bits` bits and a sign, the input's zero point taken off; false where the
 * rescale has no such form.
 */
static inline bool tosaic_form_of(const tosaic_rescale *rescale, int32_t bits, tosaic_form *form) {
  const int32_t shift = rescale->shift[0];
  if (rescale->per_channel || !rescale->multiplier32 || rescale->multiplier32[0] < 0 ||
      rescale->output_zp < INT16_MIN || rescale->output_zp > INT16_MAX || shift < 2 || shift > 62) {
    return false;
  }
  form->multiplier = rescale->multiplier32[0];
  if (form->multiplier == 1 << 30 && shift <= 30) {
    form->rounding = TOSAIC_EXACT;
    form->up = 30 - shift;
    if (bits < 31) return bits + form->up <= 30; /* what does not saturate, with a zero point */
    return rescale->output_zp == 0 || rescale->output_type != TOSAIC_INT32;
  }
  const bool twice = rescale->double_round && shift > 31;
  form->rounding = twice ? TOSAIC_ROUND_TWICE : TOSAIC_ROUND_ONCE;
  form->up = twice || shift > 33 ? 0 : 33 - shift;
  form->down = shift + form->up - (twice ? 31 : 32);
  return bits + form->up <= 31;
}

#endif
