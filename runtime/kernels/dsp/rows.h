/* The loops of elementwise operations: four at a time, and operands that are one element for all
 * taken out.
 */
#ifndef TOSAIC_DSP_ROWS_H
#define TOSAIC_DSP_ROWS_H

#include "../arithmetic.h"

#define EACH(RESULT, A, B)                                  \
  for (; n >= 4; n -= 4, a += 4, b += 4 * b_step, y += 4) { \
    y[0] = RESULT(A(0), B(0));                              \
    y[1] = RESULT(A(1), B(1));                              \
    y[2] = RESULT(A(2), B(2));                              \
    y[3] = RESULT(A(3), B(3));                              \
  }                                                         \
  for (size_t k = 0; k < n; k++) y[k] = RESULT(A(k), B(k));
#define ELEMENT_OF_A(k) a[k]
#define ELEMENT_OF_B(k) b[k]
#define THE_ONE(k) one

/* Defines tosaic_NAME: each result is RESULT(a, b). */
#define BINARY_ROW(NAME, FROM, TO, RESULT)                                                     \
  void tosaic_##NAME(size_t n, const void *const inputs[], const size_t steps[], void *output, \
                     const void *argument) {                                                   \
    const FROM *a = (const FROM *)inputs[0], *b = (const FROM *)inputs[1];                     \
    const size_t b_step = steps[1];                                                            \
    TO *y = (TO *)output;                                                                      \
    (void)argument;                                                                            \
    if (steps[0] && b_step) {                                                                  \
      EACH(RESULT, ELEMENT_OF_A, ELEMENT_OF_B)                                                 \
    } else if (steps[0]) {                                                                     \
      const FROM one = *b;                                                                     \
      EACH(RESULT, ELEMENT_OF_A, THE_ONE)                                                      \
    } else if (b_step) {                                                                       \
      const FROM one = *a;                                                                     \
      EACH(RESULT, THE_ONE, ELEMENT_OF_B)                                                      \
    } else {                                                                                   \
      const TO result = RESULT(*a, *b);                                                        \
      for (size_t k = 0; k < n; k++) y[k] = result;                                            \
    }                                                                                          \
  }

#endif
