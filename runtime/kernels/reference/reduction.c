#include "../arithmetic.h"

/* Defines tosaic_NAME: `value` starts at the first element and takes in each next element `x`. */
#define REDUCE(NAME, TYPE, EXPRESSION)                                             \
  void tosaic_##NAME(const tosaic_reduction *p, const void *input, void *output) { \
    const TYPE *from = (const TYPE *)input;                                        \
    TYPE *to = (TYPE *)output;                                                     \
    for (size_t o = 0; o < p->outer; o++)                                          \
      for (size_t i = 0; i < p->inner; i++) {                                      \
        const TYPE *at = from + o * p->axis * p->inner + i;                        \
        TYPE value = *at;                                                          \
        for (size_t k = 1; k < p->axis; k++) {                                     \
          const TYPE x = at[k * p->inner];                                         \
          value = (TYPE)(EXPRESSION);                                              \
        }                                                                          \
        *to++ = value;                                                             \
      }                                                                            \
  }

#define ARGMAX(NAME, TYPE)                                                         \
  void tosaic_##NAME(const tosaic_reduction *p, const void *input, void *output) { \
    const TYPE *from = (const TYPE *)input;                                        \
    int32_t *to = (int32_t *)output;                                               \
    for (size_t o = 0; o < p->outer; o++)                                          \
      for (size_t i = 0; i < p->inner; i++) {                                      \
        const TYPE *at = from + o * p->axis * p->inner + i;                        \
        size_t best = 0;                                                           \
        for (size_t k = 1; k < p->axis; k++)                                       \
          if (at[k * p->inner] > at[best * p->inner]) best = k;                    \
        *to++ = (int32_t)best;                                                     \
      }                                                                            \
  }

REDUCE(reduce_sum_i32, int32_t, tosaic_wrap_add(value, x))
REDUCE(reduce_all, uint8_t, value &&x)
REDUCE(reduce_any, uint8_t, value || x)
REDUCE(reduce_max_i8, int8_t, tosaic_max(value, x))
REDUCE(reduce_max_i16, int16_t, tosaic_max(value, x))
REDUCE(reduce_max_i32, int32_t, tosaic_max(value, x))
REDUCE(reduce_min_i8, int8_t, tosaic_min(value, x))
REDUCE(reduce_min_i16, int16_t, tosaic_min(value, x))
REDUCE(reduce_min_i32, int32_t, tosaic_min(value, x))
ARGMAX(argmax_i8, int8_t)
ARGMAX(argmax_i16, int16_t)
