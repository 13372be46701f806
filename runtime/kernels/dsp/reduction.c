/* Reductions: maxima and minima of int8 and int16 by words, of int32 and its sums by four values;
 * the rest portable.
 */
#include "../reference/reduction.h"

#include "dsp.h"

REDUCE(reduce_all, uint8_t, value &&x)
REDUCE(reduce_any, uint8_t, value || x)

/* Defines tosaic_NAME: where the axis is the last dimension ALL of its elements are taken in at
 * once, otherwise COUNT neighbouring results are COLUMNS, the last of which end with the row, and
 * so may be computed twice.
 */
#define REDUCE_BY(COUNT, NAME, TYPE, TAKE, ALL, COLUMNS)                                    \
  void tosaic_##NAME(const tosaic_reduction *p, const void *input, void *output) {          \
    const TYPE *from = (const TYPE *)input;                                                 \
    TYPE *to = (TYPE *)output;                                                              \
    const size_t axis = p->axis, inner = p->inner;                                          \
    for (size_t o = 0; o < p->outer; o++, from += axis * inner, to += inner) {              \
      if (inner == 1 && axis >= COUNT) {                                                    \
        *to = ALL(from, axis);                                                              \
      } else if (inner >= COUNT) {                                                          \
        for (size_t i = 0; i < inner; i += COUNT) {                                         \
          const size_t first = i + COUNT <= inner ? i : inner - COUNT;                      \
          COLUMNS(from + first, axis, inner, to + first);                                   \
        }                                                                                   \
      } else {                                                                              \
        for (size_t i = 0; i < inner; i++) {                                                \
          TYPE value = from[i];                                                             \
          for (size_t k = 1; k < axis; k++) value = (TYPE)TAKE(value, from[k * inner + i]); \
          to[i] = value;                                                                    \
        }                                                                                   \
      }                                                                                     \
    }                                                                                       \
  }

/* Of elements of which a word has COUNT, and whose words TAKE_WORD compares. A word may overlap the
 * next: an extreme may take in an element twice.
 */
#define REDUCE_BY_WORDS(COUNT, NAME, TYPE, TAKE, TAKE_WORD, LOAD)                               \
  static inline TYPE NAME##_all(const TYPE *x, size_t axis) {                                   \
    uint32_t word = LOAD(x + axis - COUNT);                                                     \
    for (size_t left = axis / COUNT; left; left--, x += COUNT) word = TAKE_WORD(word, LOAD(x)); \
    word = TAKE_WORD(word, word >> 16);                                                         \
    return (TYPE)(COUNT == 4 ? TAKE_WORD(word, word >> 8) : word);                              \
  }                                                                                             \
  static inline void NAME##_columns(const TYPE *x, size_t axis, size_t inner, TYPE *y) {        \
    uint32_t word = LOAD(x);                                                                    \
    for (size_t k = 1; k < axis; k++) x += inner, word = TAKE_WORD(word, LOAD(x));              \
    memcpy(y, &word, sizeof(word));                                                             \
  }                                                                                             \
  REDUCE_BY(COUNT, NAME, TYPE, TAKE, NAME##_all, NAME##_columns)

REDUCE_BY_WORDS(4, reduce_max_i8, int8_t, tosaic_max, larger_bytes, load_word)
REDUCE_BY_WORDS(4, reduce_min_i8, int8_t, tosaic_min, smaller_bytes, load_word)
REDUCE_BY_WORDS(2, reduce_max_i16, int16_t, tosaic_max, larger_halves, load_pair)
REDUCE_BY_WORDS(2, reduce_min_i16, int16_t, tosaic_min, smaller_halves, load_pair)

/* Of int32: four loads at once, and fewer turns of a loop. */
#define REDUCE_BY_FOUR(NAME, TAKE)                                                             \
  static inline int32_t NAME##_all(const int32_t *x, size_t axis) {                            \
    int32_t value = *x++;                                                                      \
    size_t left = axis - 1;                                                                    \
    for (; left >= 4; left -= 4, x += 4)                                                       \
      value = TAKE(TAKE(TAKE(TAKE(value, x[0]), x[1]), x[2]), x[3]);                           \
    for (; left; left--) value = TAKE(value, *x++);                                            \
    return value;                                                                              \
  }                                                                                            \
  static inline void NAME##_columns(const int32_t *x, size_t axis, size_t inner, int32_t *y) { \
    int32_t a = x[0], b = x[1], c = x[2], d = x[3];                                            \
    for (size_t k = 1; k < axis; k++) {                                                        \
      x += inner;                                                                              \
      a = TAKE(a, x[0]);                                                                       \
      b = TAKE(b, x[1]);                                                                       \
      c = TAKE(c, x[2]);                                                                       \
      d = TAKE(d, x[3]);                                                                       \
    }                                                                                          \
    y[0] = a, y[1] = b, y[2] = c, y[3] = d;                                                    \
  }                                                                                            \
  REDUCE_BY(4, NAME, int32_t, TAKE, NAME##_all, NAME##_columns)

REDUCE_BY_FOUR(reduce_sum_i32, tosaic_wrap_add)
REDUCE_BY_FOUR(reduce_max_i32, tosaic_max)
REDUCE_BY_FOUR(reduce_min_i32, tosaic_min)

#define ABOVE(p, x, y) ((x) > (y))
ARGMAX(argmax_i8, int8_t, ABOVE)
ARGMAX(argmax_i16, int16_t, ABOVE)
