/* CONV2D of int8 as products of matrices: the window of each output element, contiguous in the
 * input or gathered into scratch memory, times the filters, four at a time.
 *
 * The zero point comes out of the sums: sum((x - zp) * w) = sum(x * w) - zp * sum(w), whose second
 * part goes into the bias once.
 */
#include "../reference/convolution.h"
#include "output.h"

/* For what the matrix form does not take. */
static TOSAIC_CONVOLUTION(TOSAIC_CONV3D, conv2d_i8_portable, TOSAIC_TYPES_I8)

/* The loops are in assembly, as this compiler writes no tail-predicated loops: in them the last
 * round of a vector's 16 elements acts on those that are left.
 */
static inline void copy(int8_t *to, const int8_t *from, size_t count) {
  __asm__ volatile(
      "wlstp.8 lr, %[count], 2f\n"
      "1: vldrb.8 q0, [%[from]], #16\n"
      "vstrb.8 q0, [%[to]], #16\n"
      "letp lr, 1b\n"
      "2:\n"
      : [to] "+r"(to), [from] "+r"(from)
      : [count] "r"(count)
      : "q0", "lr", "memory");
}

static inline void fill(int8_t *to, int32_t value, size_t count) {
  __asm__ volatile(
      "vdup.8 q0, %[value]\n"
      "wlstp.8 lr, %[count], 2f\n"
      "1: vstrb.8 q0, [%[to]], #16\n"
      "letp lr, 1b\n"
      "2:\n"
      : [to] "+r"(to)
      : [count] "r"(count), [value] "r"(value)
      : "q0", "lr", "memory");
}

static inline int32_t sum_of(const int8_t *data, size_t count) {
  int32_t sum = 0;
  __asm__ volatile(
      "wlstp.8 lr, %[count], 2f\n"
      "1: vldrb.8 q0, [%[data]], #16\n"
      "vaddva.s8 %[sum], q0\n"
      "letp lr, 1b\n"
      "2:\n"
      : [sum] "+Te"(sum), [data] "+r"(data)
      : [count] "r"(count)
      : "q0", "lr", "memory");
  return sum;
}

/* Defines NAME: for the groups from `group` to `end`, sums of x and four filters each, from the
 * bias on, and STAGE, which takes the sums in q3 and takes `group` on from its multipliers. The
 * filters are `window` long, one behind the other from the first four's addresses on.
 */
#define GROUPS(NAME, STAGE)                                                                    \
  static __attribute__((noinline)) void NAME(                                                  \
      const int8_t *x, const int8_t *const first[4], size_t window, tosaic_group *group,       \
      const tosaic_group *end, const limits *l, int8_t *out) {                                 \
    const int8_t *w0 = first[0], *w1 = first[1], *w2 = first[2], *w3 = first[3];               \
    const size_t rounded = (window + 15) & ~(size_t)15;                                        \
    int32_t s0, s1, s2, s3;                                                                    \
    __asm__ volatile(                                                                          \
        "1: ldrd %[s0], %[s1], [%[group]], #8\n"                                               \
        "ldrd %[s2], %[s3], [%[group]], #8\n"                                                  \
        "dlstp.8 lr, %[window]\n"                                                              \
        "2: vldrb.8 q0, [%[x]], #16\n"                                                         \
        "vldrb.8 q1, [%[w0]], #16\n"                                                           \
        "vmladava.s8 %[s0], q0, q1\n"                                                          \
        "vldrb.8 q2, [%[w1]], #16\n"                                                           \
        "vmladava.s8 %[s1], q0, q2\n"                                                          \
        "vldrb.8 q1, [%[w2]], #16\n"                                                           \
        "vmladava.s8 %[s2], q0, q1\n"                                                          \
        "vldrb.8 q2, [%[w3]], #16\n"                                                           \
        "vmladava.s8 %[s3], q0, q2\n"                                                          \
        "letp lr, 2b\n"                                                                        \
        "vmov q3[2], q3[0], %[s0], %[s2]\n"                                                    \
        "vmov q3[3], q3[1], %[s1], %[s3]\n"                                                    \
        STAGE                                                                                  \
        "sub %[x], %[x], %[rounded]\n"                                                         \
        "sub %[w0], %[w3], %[rounded]\n"                                                       \
        "add %[w0], %[w0], %[window]\n"                                                        \
        "add %[w1], %[w0], %[window]\n"                                                        \
        "add %[w2], %[w1], %[window]\n"                                                        \
        "add %[w3], %[w2], %[window]\n"                                                        \
        "ldr lr, %[end]\n"                                                                     \
        "cmp %[group], lr\n"                                                                   \
        "bne 1b\n"                                                                             \
        : [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2), [s3] "=&Te"(s3), [x] "+r"(x),     \
          [w0] "+r"(w0), [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3), [group] "+r"(group),     \
          [out] "+l"(out)                                                                      \
        : [window] "r"(window), [rounded] "r"(rounded), [end] "m"(end), [zp] "w"(l->zp),       \
          [min] "w"(l->min), [max] "w"(l->max)                                                 \
        : "q0", "q1", "q2", "q3", "lr", "cc", "memory");                                       \
  }

typedef struct limits {
  int32x4_t zp, min, max;
} limits;

#define LIMIT_AND_STORE                 \
  "vadd.i32 q3, q3, %q[zp]\n"           \
  "vmax.s32 q3, q3, %q[min]\n"          \
  "vmin.s32 q3, q3, %q[max]\n"          \
  "vstrb.32 q3, [%[out]], #4\n"

GROUPS(single_round,
       "vldrw.32 q0, [%[group]], #16\n"
       "vmulh.s32 q3, q3, q0\n"
       "vldrw.32 q1, [%[group]], #16\n"
       "vrshl.s32 q3, q3, q1\n" LIMIT_AND_STORE)

GROUPS(double_round,
       "vldrw.32 q0, [%[group]], #16\n"
       "vqrdmulh.s32 q0, q3, q0\n"
       "vldrw.32 q1, [%[group]], #16\n"
       "vand q3, q3, q1\n"
       "vshr.s32 q3, q3, #31\n"
       "vadd.i32 q3, q3, q0\n"
       "vrshl.s32 q3, q3, q1\n" LIMIT_AND_STORE)

/* Leaves the sums where the multipliers would be. */
GROUPS(no_round,
       "vstrw.32 q3, [%[group]], #16\n"
       "add %[group], #16\n")

typedef struct matrix {
  const int8_t *weight;
  size_t window, channels;
  const tosaic_rescale *rescale;
  bool vectors; /* whether the rescale suits vectors */
  limits limits;
  tosaic_group *groups;
} matrix;

static inline void run_groups(const matrix *m, const int8_t *x, const int8_t *const first[4],
                              tosaic_group *group, const tosaic_group *end, int8_t *out) {
  if (!m->vectors) {
    no_round(x, first, m->window, group, end, &m->limits, out);
  } else if (m->rescale->double_round) {
    double_round(x, first, m->window, group, end, &m->limits, out);
  } else {
    single_round(x, first, m->window, group, end, &m->limits, out);
  }
}

/* All channels of the output element whose window is at x. */
static void element(const matrix *m, const int8_t *x, void *output, size_t index) {
  const size_t full = m->channels / 4, rest = m->channels % 4;
  tosaic_group *const last = m->groups + full;
  int8_t *out = (int8_t *)output + (m->vectors ? index : 0);
  const int8_t *first[4];
  if (full) {
    for (size_t k = 0; k < 4; k++) first[k] = m->weight + k * m->window;
    run_groups(m, x, first, m->groups, last, out);
  }
  if (rest) { /* in place of the filters behind the last one, the last one */
    int8_t results[4];
    for (size_t k = 0; k < 4; k++)
      first[k] = m->weight + (4 * full + (k < rest ? k : rest - 1)) * m->window;
    run_groups(m, x, first, last, last + 1, results);
    for (size_t k = 0; m->vectors && k < rest; k++) out[4 * full + k] = results[k];
  }
  if (m->vectors) return;
  for (size_t c = 0; c < m->channels; c++)
    tosaic_store_i32_sum(m->rescale, m->groups[c / 4].multiplier[c % 4], c, output, index + c);
}

/* The window of output element (oy, ox), with the zero point where it is outside of the input. */
static void gather(const tosaic_conv *p, const int8_t *input, tosaic_taps y, tosaic_taps x,
                   int8_t *column) {
  const size_t channels = (size_t)p->input_channels;
  const size_t row = (size_t)p->kernel_width * channels;
  const size_t before = (size_t)x.first * channels, inside = (size_t)(x.end - x.first) * channels;
  if (x.first == x.end) y.first = y.end = 0;
  fill(column, p->input_zp, (size_t)y.first * row);
  column += (size_t)y.first * row;
  input += ((size_t)(y.origin + y.first * p->dilation_y) * (size_t)p->input_width +
            (size_t)(x.origin + x.first * p->dilation_x)) * channels;
  for (int32_t ky = y.first; ky < y.end; ky++) {
    if (inside != row) {
      fill(column, p->input_zp, before);
      fill(column + before + inside, p->input_zp, row - before - inside);
    }
    if (p->dilation_x == 1) {
      copy(column + before, input, inside);
    } else {
      const int8_t *tap = input;
      for (size_t at = before; at < before + inside; at += channels) {
        copy(column + at, tap, channels);
        tap += (size_t)p->dilation_x * channels;
      }
    }
    column += row;
    input += (size_t)(p->dilation_y * p->input_width) * channels;
  }
  fill(column, p->input_zp, (size_t)(p->kernel_height - y.end) * row);
}

static void prepare(const tosaic_conv *p, const int32_t *bias, const matrix *m) {
  for (size_t c = 0; c < m->channels; c++) {
    const int32_t sum = sum_of(m->weight + c * m->window, m->window);
    tosaic_group *group = m->groups + c / 4;
    group->bias[c % 4] =
        tosaic_wrap_sub(bias[bias_index(p, (int32_t)c)], tosaic_wrap_mul(p->input_zp, sum));
    if (!m->vectors) continue;
    group->multiplier[c % 4] = multiplier_of(m->rescale, c);
    group->shift[c % 4] = rounding_shift(m->rescale, c);
  }
}

void tosaic_conv2d_i8(const tosaic_conv *p, const int8_t *input, const int8_t *weight,
                      const int32_t *bias, const tosaic_rescale *rescale, void *output,
                      void *scratch) {
  if (!tosaic_mve_takes(p)) {
    tosaic_conv2d_i8_portable(p, input, weight, bias, rescale, output, scratch);
    return;
  }
  matrix m = {.weight = weight,
              .window = tosaic_window(p),
              .channels = (size_t)p->output_channels,
              .rescale = rescale,
              .vectors = suits_vectors(rescale, (size_t)p->output_channels),
              .groups = (tosaic_group *)scratch};
  if (m.vectors) {
    m.limits = (limits){vdupq_n_s32(rescale->output_zp), vdupq_n_s32(rescale->min),
                        vdupq_n_s32(rescale->max)};
  }
  prepare(p, bias, &m);
  int8_t *column = (int8_t *)(m.groups + tosaic_groups(p));
  const bool pointwise = tosaic_is_pointwise(p);
  const size_t image =
      (size_t)p->input_height * (size_t)p->input_width * (size_t)p->input_channels;
  size_t index = 0;
  for (int32_t n = 0; n < p->batches; n++, input += image)
    for (int32_t oy = 0; oy < p->output_height; oy++) {
      const tosaic_taps y = taps_of(oy, p->stride_y, p->pad_top, p->dilation_y, p->kernel_height,
                                    p->input_height);
      for (int32_t ox = 0; ox < p->output_width; ox++, index += m.channels) {
        if (pointwise) {
          const size_t at = (size_t)(oy * p->stride_y * p->input_width + ox * p->stride_x);
          element(&m, input + at * m.window, output, index);
        } else {
          gather(p, input, y,
                 taps_of(ox, p->stride_x, p->pad_left, p->dilation_x, p->kernel_width,
                         p->input_width),
                 column);
          element(&m, column, output, index);
        }
      }
    }
}
