/* RESCALE: of int8, int16 and int32 in 32-bit arithmetic where the form allows it, else portable.
 */
#include <arm_acle.h>

#include "../rescale_form.h"
#include "../rescale_portable.h"

/* For functions with a constant argument that selects their code. */
#define INLINE static inline __attribute__((always_inline))

/* A value of `bits` bits, before the limits. */
INLINE int32_t scaled(const tosaic_rescale *r, tosaic_form form, tosaic_rounding rounding,
                      int32_t bits, int32_t x) {
  int32_t high;
  x -= r->input_zp;
  if (rounding == TOSAIC_EXACT) {
    int32_t shifted = (int32_t)((uint32_t)x << form.up);
    if (bits < 31) return shifted + r->output_zp;
    if (shifted >> form.up != x) shifted = (x >> 31) ^ INT32_MAX; /* saturates */
    return __qadd(shifted, r->output_zp);
  }
  if (rounding == TOSAIC_ROUND_TWICE) {
    high = (int32_t)(((int64_t)x * form.multiplier + (1 << 30)) >> 31) + (x >> 31);
  } else {
    const int32_t shifted = (int32_t)((uint32_t)x << form.up);
    high = (int32_t)(((int64_t)shifted * form.multiplier) >> 32);
  }
  return (((high >> (form.down - 1)) + 1) >> 1) + r->output_zp;
}

INLINE int32_t limited(const tosaic_rescale *r, int32_t x) {
  return tosaic_min(tosaic_max(x, r->min), r->max);
}

/* Limits that are the type's own are one instruction, or none. */
#define LOOP(TYPE, LOW, HIGH, SATURATED)                                                   \
  if (r.min == LOW && r.max == HIGH) {                                                     \
    for (size_t k = 0; k < n; k++)                                                         \
      ((TYPE *)output)[k] = (TYPE)SATURATED(scaled(&r, form, rounding, bits, input[k]));   \
  } else {                                                                                 \
    for (size_t k = 0; k < n; k++)                                                         \
      ((TYPE *)output)[k] = (TYPE)limited(&r, scaled(&r, form, rounding, bits, input[k])); \
  }                                                                                        \
  break;
#define SATURATED_8(x) __ssat(x, 8)
#define SATURATED_16(x) __ssat(x, 16)
#define AS_IT_IS(x) (x)

#define KERNEL(NAME, TYPE, ELEMENTS, BITS, ZP_LOW, ZP_HIGH)                                      \
  INLINE void NAME##_loop(const tosaic_rescale *rescale, tosaic_form form,                       \
                          tosaic_rounding rounding, size_t n, const TYPE *input, void *output) { \
    const int32_t bits = BITS;                                                                   \
    const tosaic_rescale r = *rescale;                                                           \
    switch (r.output_type) {                                                                     \
      case TOSAIC_INT8:                                                                          \
        LOOP(int8_t, INT8_MIN, INT8_MAX, SATURATED_8)                                            \
      case TOSAIC_INT16:                                                                         \
        LOOP(int16_t, INT16_MIN, INT16_MAX, SATURATED_16)                                        \
      default:                                                                                   \
        LOOP(int32_t, INT32_MIN, INT32_MAX, AS_IT_IS)                                            \
    }                                                                                            \
  }                                                                                              \
  void tosaic_rescale_##NAME(const tosaic_rescale *rescale, size_t rows, size_t channels,        \
                             const TYPE *input, void *output) {                                  \
    tosaic_form form;                                                                            \
    if (rescale->input_zp < ZP_LOW || rescale->input_zp > ZP_HIGH ||                             \
        !tosaic_form_of(rescale, BITS, &form)) {                                                 \
      one_by_one(ELEMENTS, rescale, rows, channels, input, output);                              \
    } else if (form.rounding == TOSAIC_EXACT) {                                                  \
      NAME##_loop(rescale, form, TOSAIC_EXACT, rows *channels, input, output);                   \
    } else if (form.rounding == TOSAIC_ROUND_TWICE) {                                            \
      NAME##_loop(rescale, form, TOSAIC_ROUND_TWICE, rows *channels, input, output);             \
    } else {                                                                                     \
      NAME##_loop(rescale, form, TOSAIC_ROUND_ONCE, rows *channels, input, output);              \
    }                                                                                            \
  }

KERNEL(i8, int8_t, OF_I8, 8, INT8_MIN, INT8_MAX)
KERNEL(i16, int16_t, OF_I16, 16, INT16_MIN, INT16_MAX)
KERNEL(i32, int32_t, OF_I32, 31, 0, 0)
