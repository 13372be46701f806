/* Reductions: sums of int32, and maxima and minima, by vectors; the rest portable. */
#include "../reference/reduction.h"

#include <arm_mve.h>

REDUCE(reduce_all, uint8_t, value &&x)
REDUCE(reduce_any, uint8_t, value || x)

/* Defines tosaic_NAME. Where the axis is the last dimension a vector has neighbours along it, which
 * ACROSS takes into a scalar; otherwise those of other results, which TAKE takes in.
 */
#define REDUCE_BY_VECTORS(NAME, TYPE, VECTOR, COUNT, VCTP, LOAD_ALL, LOAD, STORE, START, ACROSS,  \
                          ACROSS_ALL, TAKE)                                                       \
  void tosaic_##NAME(const tosaic_reduction *p, const void *input, void *output) {                \
    const TYPE *from = (const TYPE *)input;                                                       \
    TYPE *to = (TYPE *)output;                                                                    \
    const size_t axis = p->axis, inner = p->inner;                                                \
    for (size_t o = 0; o < p->outer; o++, from += axis * inner, to += inner) {                    \
      if (inner == 1) {                                                                           \
        int32_t value = START;                                                                    \
        size_t k = 0;                                                                             \
        for (; k + COUNT <= axis; k += COUNT) value = ACROSS_ALL(value, LOAD_ALL(from + k));      \
        if (k < axis) {                                                                           \
          const mve_pred16_t lanes = VCTP((uint32_t)(axis - k));                                  \
          value = ACROSS(value, LOAD(from + k, lanes), lanes);                                    \
        }                                                                                         \
        *to = (TYPE)value;                                                                        \
        continue;                                                                                 \
      }                                                                                           \
      for (size_t i = 0; i < inner; i += COUNT) {                                                 \
        const mve_pred16_t lanes = VCTP((uint32_t)(inner - i));                                   \
        VECTOR value = LOAD(from + i, lanes);                                                     \
        for (size_t k = 1; k < axis; k++) value = TAKE(value, LOAD(from + k * inner + i, lanes)); \
        STORE(to + i, value, lanes);                                                              \
      }                                                                                           \
    }                                                                                             \
  }
#define I8 int8_t, int8x16_t, 16, vctp8q, vld1q_s8, vldrbq_z_s8, vstrbq_p_s8
#define I16 int16_t, int16x8_t, 8, vctp16q, vld1q_s16, vldrhq_z_s16, vstrhq_p_s16
#define I32 int32_t, int32x4_t, 4, vctp32q, vld1q_s32, vldrwq_z_s32, vstrwq_p_s32
/* A macro's arguments are counted before they are expanded; this expands the types first. */
#define DEFINE(NAME, ...) REDUCE_BY_VECTORS(NAME, __VA_ARGS__)

DEFINE(reduce_sum_i32, I32, 0, vaddvaq_p_s32, vaddvaq_s32, vaddq_s32)
DEFINE(reduce_max_i8, I8, INT8_MIN, vmaxvq_p_s8, vmaxvq_s8, vmaxq_s8)
DEFINE(reduce_max_i16, I16, INT16_MIN, vmaxvq_p_s16, vmaxvq_s16, vmaxq_s16)
DEFINE(reduce_max_i32, I32, INT32_MIN, vmaxvq_p_s32, vmaxvq_s32, vmaxq_s32)
DEFINE(reduce_min_i8, I8, INT8_MAX, vminvq_p_s8, vminvq_s8, vminq_s8)
DEFINE(reduce_min_i16, I16, INT16_MAX, vminvq_p_s16, vminvq_s16, vminq_s16)
DEFINE(reduce_min_i32, I32, INT32_MAX, vminvq_p_s32, vminvq_s32, vminq_s32)

#define ABOVE(p, x, y) ((x) > (y))
ARGMAX(argmax_i8, int8_t, ABOVE)
ARGMAX(argmax_i16, int16_t, ABOVE)
