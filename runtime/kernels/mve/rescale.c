/* RESCALE: of int8 and int32 by vectors where the form suits them (output.h), else portable. */
#include "../reference/rescale.h"

#include "output.h"

#define ELEMENT(data, index) (data)[index]

RESCALE(u8, uint8_t, ELEMENT)
RESCALE(i16, int16_t, ELEMENT)
RESCALE(u16, uint16_t, ELEMENT)
RESCALE(i48, uint8_t, tosaic_load_i48)
static RESCALE(i8_portable, int8_t, ELEMENT)
static RESCALE(i32_portable, int32_t, ELEMENT)

/* The arithmetic of one rescale for the whole tensor. A shift below 33 is made up for by shifting
 * the value to the left before, by `up`, where that cannot overflow.
 */
typedef struct arithmetic {
  int32_t multiplier, up, shift;
  bool double_round;
} arithmetic;

/* For values of at most `bits` bits and a sign, the input's zero point taken off. */
static bool suits(const tosaic_rescale *rescale, int32_t bits, arithmetic *a) {
  const int32_t shift = rescale->shift[0];
  if (rescale->per_channel || !rescale->multiplier32 || rescale->multiplier32[0] < 0 ||
      rescale->output_zp < INT16_MIN || rescale->output_zp > INT16_MAX || shift < 2 ||
      shift > 62) {
    return false;
  }
  a->multiplier = rescale->multiplier32[0];
  a->double_round = rescale->double_round && shift > 31;
  a->up = a->double_round || shift > 33 ? 0 : 33 - shift;
  a->shift = a->double_round ? 31 - shift : 32 - shift - a->up;
  return bits + a->up <= 31;
}

TOSAIC_INLINE int32x4_t apply(const tosaic_rescale *rescale, arithmetic a, int32x4_t x) {
  const int32x4_t multiplier = vdupq_n_s32(a.multiplier);
  x = vsubq_n_s32(x, rescale->input_zp);
  if (a.double_round) {
    const int32x4_t q = vaddq_s32(vqrdmulhq_s32(x, multiplier), vshrq_n_s32(x, 31));
    x = vrshlq_n_s32(q, a.shift);
  } else {
    x = vrshlq_n_s32(vmulhq_s32(vshlq_r_s32(x, a.up), multiplier), a.shift);
  }
  x = vaddq_n_s32(x, rescale->output_zp);
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

#define LOOP(NAME, TYPE, LOAD, LOAD_SOME)                                                         \
  TOSAIC_INLINE void NAME##_loop(const tosaic_rescale *rescale, arithmetic a,                \
                                 tosaic_type type, size_t n, const TYPE *input,              \
                                 void *output) {                                             \
    const tosaic_rescale r = *rescale;                                                       \
    size_t k = 0;                                                                            \
    for (; k + 4 <= n; k += 4)                                                               \
      store_four(type, output, k, apply(&r, a, LOAD(input + k)));                            \
    if (k == n) return;                                                                      \
    const mve_pred16_t lanes = vctp32q((uint32_t)(n - k));                                   \
    store_some(type, output, k, apply(&r, a, LOAD_SOME(input + k, lanes)), lanes);           \
  }                                                                                          \
  static void NAME##_vectors(const tosaic_rescale *rescale, arithmetic a, size_t n,          \
                             const TYPE *input, void *output) {                              \
    if (rescale->output_type == TOSAIC_INT8) {                                               \
      NAME##_loop(rescale, a, TOSAIC_INT8, n, input, output);                                \
    } else if (rescale->output_type == TOSAIC_INT16) {                                       \
      NAME##_loop(rescale, a, TOSAIC_INT16, n, input, output);                               \
    } else {                                                                                 \
      NAME##_loop(rescale, a, TOSAIC_INT32, n, input, output);                               \
    }                                                                                        \
  }

LOOP(i8, int8_t, vldrbq_s32, vldrbq_z_s32)
LOOP(i32, int32_t, vld1q_s32, vldrwq_z_s32)

void tosaic_rescale_i8(const tosaic_rescale *rescale, size_t rows, size_t channels,
                       const int8_t *input, void *output) {
  arithmetic a;
  const bool small = rescale->input_zp >= INT8_MIN && rescale->input_zp <= INT8_MAX;
  if (small && suits(rescale, 8, &a)) {
    i8_vectors(rescale, a, rows * channels, input, output);
  } else {
    tosaic_rescale_i8_portable(rescale, rows, channels, input, output);
  }
}

void tosaic_rescale_i32(const tosaic_rescale *rescale, size_t rows, size_t channels,
                        const int32_t *input, void *output) {
  arithmetic a;
  if (rescale->input_zp == 0 && suits(rescale, 31, &a)) {
    i32_vectors(rescale, a, rows * channels, input, output);
  } else {
    tosaic_rescale_i32_portable(rescale, rows, channels, input, output);
  }
}
