/* RESCALE: of int8, int16 and int32 by vectors where the form suits them (output.h), else portable.
 */
#include "../reference/rescale.h"

#include "../rescale_form.h"
#include "output.h"

#define ELEMENT(data, index) (data)[index]

RESCALE(u8, uint8_t, ELEMENT)
RESCALE(u16, uint16_t, ELEMENT)
RESCALE(i48, uint8_t, tosaic_load_i48)
static RESCALE(i8_portable, int8_t, ELEMENT) static RESCALE(i16_portable, int16_t, ELEMENT)
static RESCALE(i32_portable, int32_t, ELEMENT)

    TOSAIC_INLINE int32x4_t apply(const tosaic_rescale *rescale, tosaic_form form, int32x4_t x) {
  const int32x4_t multiplier = vdupq_n_s32(form.multiplier);
  x = vsubq_n_s32(x, rescale->input_zp);
  if (form.rounding == TOSAIC_EXACT) {
    x = vqshlq_r_s32(x, form.up);
  } else if (form.rounding == TOSAIC_ROUND_TWICE) {
    const int32x4_t q = vaddq_s32(vqrdmulhq_s32(x, multiplier), vshrq_n_s32(x, 31));
    x = vrshlq_n_s32(q, -form.down);
  } else {
    x = vrshlq_n_s32(vmulhq_s32(vshlq_r_s32(x, form.up), multiplier), -form.down);
  }
  x = vqaddq_n_s32(x, rescale->output_zp); /* saturating: an exact shift may have */
  return vminq_s32(vmaxq_s32(x, vdupq_n_s32(rescale->min)), vdupq_n_s32(rescale->max));
}

/* Store four results, or those of `lanes`. */
TOSAIC_INLINE void store_four(tosaic_type type, void *output, size_t k, int32x4_t x) {
  if (type == TOSAIC_INT8) {
    vstrbq_s32((int8_t *)output + k, x);
  } else if (type == TOSAIC_INT16) {
    vstrhq_s32((int16_t *)output + k, x);
  } else {
    vst1q_s32((int32_t *)output + k, x);
  }
}
TOSAIC_INLINE void store_some(tosaic_type type, void *output, size_t k, int32x4_t x,
                              mve_pred16_t lanes) {
  if (type == TOSAIC_INT8) {
    vstrbq_p_s32((int8_t *)output + k, x, lanes);
  } else if (type == TOSAIC_INT16) {
    vstrhq_p_s32((int16_t *)output + k, x, lanes);
  } else {
    vstrwq_p_s32((int32_t *)output + k, x, lanes);
  }
}

#define LOOP(NAME, TYPE, LOAD, LOAD_SOME)                                                       \
  TOSAIC_INLINE void NAME##_loop(const tosaic_rescale *rescale, tosaic_form form,               \
                                 tosaic_type type, size_t n, const TYPE *input, void *output) { \
    const tosaic_rescale r = *rescale;                                                          \
    size_t k = 0;                                                                               \
    for (; k + 4 <= n; k += 4) store_four(type, output, k, apply(&r, form, LOAD(input + k)));   \
    if (k == n) return;                                                                         \
    const mve_pred16_t lanes = vctp32q((uint32_t)(n - k));                                      \
    store_some(type, output, k, apply(&r, form, LOAD_SOME(input + k, lanes)), lanes);           \
  }                                                                                             \
  static void NAME##_vectors(const tosaic_rescale *rescale, tosaic_form form, size_t n,         \
                             const TYPE *input, void *output) {                                 \
    if (rescale->output_type == TOSAIC_INT8) {                                                  \
      NAME##_loop(rescale, form, TOSAIC_INT8, n, input, output);                                \
    } else if (rescale->output_type == TOSAIC_INT16) {                                          \
      NAME##_loop(rescale, form, TOSAIC_INT16, n, input, output);                               \
    } else {                                                                                    \
      NAME##_loop(rescale, form, TOSAIC_INT32, n, input, output);                               \
    }                                                                                           \
  }

LOOP(i8, int8_t, vldrbq_s32, vldrbq_z_s32)
LOOP(i16, int16_t, vldrhq_s32, vldrhq_z_s32)
LOOP(i32, int32_t, vld1q_s32, vldrwq_z_s32)

#define KERNEL(NAME, TYPE, BITS, ZP_LOW, ZP_HIGH)                                           \
  void tosaic_rescale_##NAME(const tosaic_rescale *rescale, size_t rows, size_t channels,   \
                             const TYPE *input, void *output) {                             \
    tosaic_form form;                                                                       \
    if (rescale->input_zp >= ZP_LOW && rescale->input_zp <= ZP_HIGH &&                      \
        tosaic_form_of(rescale, BITS, &form)) {                                             \
      NAME##_vectors(rescale, form, rows *channels, input, output);                         \
    } else {                                                                                \
      tosaic_rescale_##NAME##_portable(rescale, rows, channels, input, output);             \
    }                                                                                       \
  }

KERNEL(i8, int8_t, 8, INT8_MIN, INT8_MAX)
KERNEL(i16, int16_t, 16, INT16_MIN, INT16_MAX)
KERNEL(i32, int32_t, 31, 0, 0)
