/* RESCALE: of int8, int16 and int32 by vectors where the form suits them (output.h), else portable.
 */
#include "../rescale_form.h"
#include "../rescale_portable.h"
#include "output.h"

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

/* Defines NAME_vectors, which takes as many elements as come in fours and returns how many. */
#define LOOP(TYPE, LOAD, STORE)                                                           \
  for (; k + 4 <= n; k += 4) STORE((TYPE *)output + k, apply(&r, form, LOAD(input + k))); \
  break;
#define VECTORS(NAME, TYPE, LOAD)                                                                \
  static inline size_t NAME##_vectors(const tosaic_rescale *rescale, tosaic_form form, size_t n, \
                                      const TYPE *input, void *output) {                         \
    const tosaic_rescale r = *rescale;                                                           \
    size_t k = 0;                                                                                \
    switch (r.output_type) {                                                                     \
      case TOSAIC_INT8:                                                                          \
        LOOP(int8_t, LOAD, vstrbq_s32)                                                           \
      case TOSAIC_INT16:                                                                         \
        LOOP(int16_t, LOAD, vstrhq_s32)                                                          \
      default:                                                                                   \
        LOOP(int32_t, LOAD, vst1q_s32)                                                           \
    }                                                                                            \
    return k;                                                                                    \
  }

VECTORS(i8, int8_t, vldrbq_s32)
VECTORS(i16, int16_t, vldrhq_s32)
VECTORS(i32, int32_t, vld1q_s32)

#define KERNEL(NAME, TYPE, ELEMENTS, BITS, ZP_LOW, ZP_HIGH)                               \
  void tosaic_rescale_##NAME(const tosaic_rescale *rescale, size_t rows, size_t channels, \
                             const TYPE *input, void *output) {                           \
    tosaic_form form;                                                                     \
    if (rescale->input_zp < ZP_LOW || rescale->input_zp > ZP_HIGH ||                      \
        !tosaic_form_of(rescale, BITS, &form)) {                                          \
      one_by_one(ELEMENTS, rescale, rows, channels, input, output);                       \
      return;                                                                             \
    }                                                                                     \
    const size_t n = rows * channels;                                                     \
    const size_t done = NAME##_vectors(rescale, form, n, input, output);                  \
    char *const rest = (char *)output + done * bytes_of(rescale->output_type);            \
    if (done < n) one_by_one(ELEMENTS, rescale, 1, n - done, input + done, rest);         \
  }

static inline size_t bytes_of(tosaic_type type) {
  return type == TOSAIC_INT8 ? 1 : type == TOSAIC_INT16 ? 2 : 4;
}

KERNEL(i8, int8_t, OF_I8, 8, INT8_MIN, INT8_MAX)
KERNEL(i16, int16_t, OF_I16, 16, INT16_MIN, INT16_MAX)
KERNEL(i32, int32_t, OF_I32, 31, 0, 0)
