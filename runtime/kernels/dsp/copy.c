/* Copies by words: rows are often a few bytes, for which calling memcpy takes longer. */
#include "dsp.h"

static inline void copy_row(char *to, const char *from, size_t bytes) {
  for (; bytes >= 4; bytes -= 4, to += 4, from += 4) {
    uint32_t word; /* aligned or not */
    memcpy(&word, from, sizeof(word));
    memcpy(to, &word, sizeof(word));
  }
  for (; bytes; bytes--) *to++ = *from++;
}

/* Whether blocks of the last two dimensions are words on both sides: neighbours in the input are
 * along the one, in the output along the other.
 */
static inline bool has_planes(const tosaic_copy *p) {
  const int32_t x = p->rank - 2, y = p->rank - 1;
  const ptrdiff_t element = (ptrdiff_t)p->element_size;
  const size_t side = sizeof(uint32_t) / p->element_size; /* of a block */
  return side > 1 && p->size[x] >= side && p->size[y] >= side && p->input_stride[x] == element &&
         p->output_stride[y] == element;
}

static inline uint32_t load(const char *x) { return load_word((const int8_t *)x); }
static inline void store(char *y, uint32_t word) { memcpy(y, &word, sizeof(word)); }

/* Elements of 16 bits, two by two. */
static inline void transpose_two(const char *x, ptrdiff_t from, char *y, ptrdiff_t to) {
  const uint32_t a = load(x), b = load(x + from);
  store(y, lower_halves(a, b));
  store(y + to, upper_halves(a, b));
}

/* Bytes, four by four: two rows exchange the odd bytes of the one for the even ones of the other.
 */
static inline void exchange(uint32_t *a, uint32_t *b) {
  const uint32_t differing = (*a ^ *b << 8) & 0xff00ff00U;
  *a ^= differing;
  *b ^= differing >> 8;
}

static inline void transpose_four(const char *x, ptrdiff_t from, char *y, ptrdiff_t to) {
  uint32_t a = load(x), b = load(x + from), c = load(x + 2 * from), d = load(x + 3 * from);
  exchange(&a, &b);
  exchange(&c, &d);
  store(y, lower_halves(a, c));
  store(y + to, lower_halves(b, d));
  store(y + 2 * to, upper_halves(a, c));
  store(y + 3 * to, upper_halves(b, d));
}

/* Defines NAME: blocks of a plane of x by y elements, of which those along x are neighbours in the
 * input. The last blocks of a row and of a column end with it, and so may be copied twice. Not
 * inline, for the stack of a caller that calls itself.
 */
#define TRANSPOSE(NAME, SIDE, BYTES, BLOCK)                                                      \
  static __attribute__((noinline)) void NAME(size_t width, size_t height, const char *from,      \
                                             ptrdiff_t from_step, char *to, ptrdiff_t to_step) { \
    for (size_t i = 0; i < height; i += SIDE) {                                                  \
      const ptrdiff_t y = (ptrdiff_t)(i + SIDE <= height ? i : height - SIDE);                   \
      const char *row = from + y * from_step;                                                    \
      char *column = to + y * BYTES;                                                             \
      for (size_t left = width / SIDE; left; left--) {                                           \
        BLOCK(row, from_step, column, to_step);                                                  \
        row += SIDE * BYTES;                                                                     \
        column += SIDE * to_step;                                                                \
      }                                                                                          \
      if (width % SIDE) {                                                                        \
        const ptrdiff_t back = (ptrdiff_t)(SIDE - width % SIDE);                                 \
        BLOCK(row - back * BYTES, from_step, column - back * to_step, to_step);                  \
      }                                                                                          \
    }                                                                                            \
  }
TRANSPOSE(transpose_bytes, 4, 1, transpose_four)
TRANSPOSE(transpose_halves, 2, 2, transpose_two)

static inline void copy_plane(const tosaic_copy *p, const char *from, char *to) {
  const int32_t x = p->rank - 2, y = p->rank - 1;
  const size_t width = p->size[x], height = p->size[y];
  const ptrdiff_t from_step = p->input_stride[y], to_step = p->output_stride[x];
  if (p->element_size == 1) {
    transpose_bytes(width, height, from, from_step, to, to_step);
  } else {
    transpose_halves(width, height, from, from_step, to, to_step);
  }
}

#define HAS_PLANES has_planes
#define COPY_PLANE copy_plane
#include "../strided_copy.h"
