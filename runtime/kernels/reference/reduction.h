/* The loops of reductions, instantiated by source files per type. */
#ifndef TOSAIC_REFERENCE_REDUCTION_H
#define TOSAIC_REFERENCE_REDUCTION_H

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

/* Results are the first index whose element no other is ABOVE(p, element, other). */
#define ARGMAX(NAME, TYPE, ABOVE)                                                  \
  void tosaic_##NAME(const tosaic_reduction *p, const void *input, void *output) { \
    const TYPE *from = (const TYPE *)input;                                        \
    int32_t *to = (int32_t *)output;                                               \
    for (size_t o = 0; o < p->outer; o++)                                          \
      for (size_t i = 0; i < p->inner; i++) {                                      \
        const TYPE *at = from + o * p->axis * p->inner + i;                        \
        size_t best = 0;                                                           \
        for (size_t k = 1; k < p->axis; k++)                                       \
          if (ABOVE(p, at[k * p->inner], at[best * p->inner])) best = k;           \
        *to++ = (int32_t)best;                                                     \
      }                                                                            \
  }

#endif
