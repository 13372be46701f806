/* The loops of elementwise operations, instantiated by their source files. */
#ifndef TOSAIC_REFERENCE_ELEMENTWISE_H
#define TOSAIC_REFERENCE_ELEMENTWISE_H

#include "../arithmetic.h"

/* Defines tosaic_NAME: each result is EXPRESSION of a and b (and of argument). */
#define UNARY(NAME, FROM, TO, EXPRESSION)                                                      \
  void tosaic_##NAME(size_t n, const void *const inputs[], const size_t steps[], void *output, \
                     const void *argument) {                                                   \
    const FROM *x = (const FROM *)inputs[0];                                                   \
    TO *y = (TO *)output;                                                                      \
    (void)argument;                                                                            \
    for (size_t k = 0; k < n; k++) {                                                           \
      const FROM a = x[k * steps[0]];                                                          \
      y[k] = (TO)(EXPRESSION);                                                                 \
    }                                                                                          \
  }

#define BINARY(NAME, FROM, TO, EXPRESSION)                                                     \
  void tosaic_##NAME(size_t n, const void *const inputs[], const size_t steps[], void *output, \
                     const void *argument) {                                                   \
    const FROM *x0 = (const FROM *)inputs[0], *x1 = (const FROM *)inputs[1];                   \
    TO *y = (TO *)output;                                                                      \
    (void)argument;                                                                            \
    for (size_t k = 0; k < n; k++) {                                                           \
      const FROM a = x0[k * steps[0]], b = x1[k * steps[1]];                                   \
      y[k] = (TO)(EXPRESSION);                                                                 \
    }                                                                                          \
  }

#endif
