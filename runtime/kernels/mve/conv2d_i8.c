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
    static inline void copy_rows(int8_t *to, size_t to_step, const int8_t *from, size_t from_step,
                                 size_t bytes, int32_t rows) {
  const size_t rounded = (bytes + 15) & ~(size_t)15; /* what the pointers go on by themselves */
  if (bytes == 0 || rows <= 0) return;
  __asm__ volatile(
      "1: dlstp.8 lr, %[bytes]\n"
      "2: vldrb.8 q0, [%[from]], #16\n"
      "vstrb.8 q0, [%[to]], #16\n"
      "letp lr, 2b\n"
      "subs %[rows], %[rows], #1\n"
      "add %[from], %[from], %[from_step]\n"
      "add %[to], %[to], %[to_step]\n"
      "bne 1b\n"
      : [to] "+r"(to), [from] "+r"(from), [rows] "+r"(rows)
      : [bytes] "r"(bytes), [to_step] "r"(to_step - rounded), [from_step] "r"(from_step - rounded)
      : "q0", "lr", "cc", "memory");
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

static inline int32x4_t sums_of(const int8_t *const first[4], size_t count) {
  const int8_t *w0 = first[0], *w1 = first[1], *w2 = first[2], *w3 = first[3];
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  int32x4_t sums;
  __asm__ volatile(
      "dlstp.8 lr, %[count]\n"
      "1: vldrb.8 q0, [%[w0]], #16\n"
      "vaddva.s8 %[s0], q0\n"
      "vldrb.8 q1, [%[w1]], #16\n"
      "vaddva.s8 %[s1], q1\n"
      "vldrb.8 q0, [%[w2]], #16\n"
      "vaddva.s8 %[s2], q0\n"
      "vldrb.8 q1, [%[w3]], #16\n"
      "vaddva.s8 %[s3], q1\n"
      "letp lr, 1b\n"
      "vmov %q[sums][2], %q[sums][0], %[s0], %[s2]\n"
      "vmov %q[sums][3], %q[sums][1], %[s1], %[s3]\n"
      : [s0] "+Te"(s0), [s1] "+Te"(s1), [s2] "+Te"(s2), [s3] "+Te"(s3), [w0] "+r"(w0),
        [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3), [sums] "=&w"(sums)
      : [count] "r"(count)
      : "q0", "q1", "lr", "memory");
  return sums;
}

typedef struct limits {
  int32x4_t zp, min, max;
} limits;

/* Some output elements: their windows are `step` bytes apart, and their results `out_step`. */
typedef struct run {
  const int8_t *x;
  int8_t *out;
  size_t step, out_step, count;
} run;

/* Groups of filters, and where the first four are: after them one is behind the other. */
typedef struct part {
  tosaic_group *first, *end;
  const int8_t *filters[4];
} part;

/* Defines NAME: for each element of a run and each group of a part, sums of the window and four
 * filters, from the bias on, and STAGE, which takes the sums in q3 and takes `group` on from its
 * multipliers.
 */
#define GROUPS(NAME, STAGE)                                                                  \
  static __attribute__((noinline)) void NAME(run r, const part *part, size_t window,         \
                                             const limits *l) {                              \
    const size_t rounded = (window + 15) & ~(size_t)15;                                      \
    const int32x4_t zp = l->zp, min = l->min, max = l->max;                                  \
    const tosaic_group *const end = part->end;                                               \
    for (; r.count; r.count--, r.x += r.step, r.out += r.out_step) {                         \
      const int8_t *x = r.x, *w0 = part->filters[0], *w1 = part->filters[1];                 \
      const int8_t *w2 = part->filters[2], *w3 = part->filters[3];                           \
      int8_t *out = r.out;                                                                   \
      tosaic_group *group = part->first;                                                     \
      int32_t s0, s1, s2, s3;                                                                \
      __asm__ volatile(                                                                      \
          "1: ldrd %[s0], %[s1], [%[group]], #8\n"                                           \
          "ldrd %[s2], %[s3], [%[group]], #8\n"                                              \
          "dlstp.8 lr, %[window]\n"                                                          \
          "2: vldrb.8 q0, [%[x]], #16\n"                                                     \
          "vldrb.8 q1, [%[w0]], #16\n"                                                       \
          "vmladava.s8 %[s0], q0, q1\n"                                                      \
          "vldrb.8 q2, [%[w1]], #16\n"                                                       \
          "vmladava.s8 %[s1], q0, q2\n"                                                      \
          "vldrb.8 q1, [%[w2]], #16\n"                                                       \
          "vmladava.s8 %[s2], q0, q1\n"                                                      \
          "vldrb.8 q2, [%[w3]], #16\n"                                                       \
          "vmladava.s8 %[s3], q0, q2\n"                                                      \
          "letp lr, 2b\n"                                                                    \
          "vmov q3[2], q3[0], %[s0], %[s2]\n"                                                \
          "vmov q3[3], q3[1], %[s1], %[s3]\n" STAGE                                          \
          "ldr lr, %[rounded]\n"                                                             \
          "sub %[x], %[x], lr\n"                                                             \
          "sub %[w0], %[w3], lr\n"                                                           \
          "ldr lr, %[end]\n"                                                                 \
          "add %[w0], %[w0], %[window]\n"                                                    \
          "add %[w1], %[w0], %[window]\n"                                                    \
          "add %[w2], %[w1], %[window]\n"                                                    \
          "add %[w3], %[w2], %[window]\n"                                                    \
          "cmp %[group], lr\n"                                                               \
          "bne 1b\n"                                                                         \
          : [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2), [s3] "=&Te"(s3), [x] "+r"(x), \
            [w0] "+r"(w0), [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3), [group] "+r"(group), \
            [out] "+l"(out)                                                                  \
          : [window] "r"(window), [rounded] "m"(rounded), [end] "m"(end), [zp] "w"(zp),      \
            [min] "w"(min), [max] "w"(max)                                                   \
          : "q0", "q1", "q2", "q3", "lr", "cc", "memory");                                   \
    }                                                                                        \
  }

#define LIMIT_AND_STORE        \
  "vadd.i32 q3, q3, %q[zp]\n"  \
  "vmax.s32 q3, q3, %q[min]\n" \
  "vmin.s32 q3, q3, %q[max]\n" \
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

/* Some of the filters. */
typedef struct matrix {
  size_t first, channels; /* their numbers */
  size_t window, all;     /* `all` is how many the convolution has */
  const tosaic_rescale *rescale;
  bool vectors; /* whether the rescale suits vectors */
  limits limits;
  part full, rest; /* groups of four, and the one of fewer: then with the last filter again */
} matrix;

static inline void multiply(const matrix *m, run r, const part *part) {
  if (!m->vectors) {
    no_round(r, part, m->window, &m->limits);
  } else if (m->rescale->double_round) {
    double_round(r, part, m->window, &m->limits);
  } else {
    single_round(r, part, m->window, &m->limits);
  }
}

/* The channels that are no group of four, the convolution's last. Four results are stored where
 * fewer are: those too many are overwritten by what comes later, but for the last elements, of
 * which three with one channel reach over the end.
 */
static void multiply_rest(const matrix *m, run r) {
  int8_t results[4];
  const size_t full = m->channels & ~(size_t)3, reaching = m->all == 1 ? 3 : 1;
  const size_t before = r.count > reaching ? r.count - reaching : 0;
  r.out += full;
  multiply(m, (run){r.x, r.out, r.step, r.out_step, before}, &m->rest);
  for (size_t element = before; element < r.count; element++) {
    multiply(m, (run){r.x + element * r.step, results, 0, 0, 1}, &m->rest);
    int8_t *out = r.out + element * r.out_step;
    for (size_t k = 0; m->vectors && k < m->channels - full; k++) out[k] = results[k];
  }
}

static inline void multiply_all(const matrix *m, run r) {
  if (m->rest.first != m->rest.end) multiply_rest(m, r);
  if (m->full.first != m->full.end) multiply(m, r, &m->full);
}

/* `count` output elements from number `element` on, whose windows begin at x. */
static inline void run_elements(const matrix *m, const int8_t *x, size_t step, size_t count,
                                void *output, size_t element) {
  const size_t index = element * m->all + m->first;
  if (m->vectors) {
    multiply_all(m, (run){x, (int8_t *)output + index, step, m->all, count});
    return;
  }
  for (size_t k = 0; k < count; k++) {
    multiply_all(m, (run){x + k * step, NULL, 0, 0, 1});
    for (size_t c = 0; c < m->channels; c++)
      tosaic_store_i32_sum(m->rescale, m->full.first[c / 4].multiplier[c % 4], m->first + c, output,
                           index + k * m->all + c);
  }
}

/* The window of an output element, with the zero point where it is outside of the input. */
static void gather(const tosaic_conv *p, const int8_t *input, tosaic_taps y, tosaic_taps x,
                   int8_t *column) {
  const size_t channels = (size_t)p->input_channels;
  const size_t row = (size_t)p->kernel_width * channels;
  const size_t line = (size_t)p->dilation_y * (size_t)p->input_width * channels;
  const int32_t columns = x.end - x.first, rows = y.end - y.first;
  if (columns < p->kernel_width || rows < p->kernel_height)
    fill(column, p->input_zp, (size_t)p->kernel_height * row);
  column += (size_t)y.first * row + (size_t)x.first * channels;
  input += ((size_t)(y.origin + y.first * p->dilation_y) * (size_t)p->input_width +
            (size_t)(x.origin + x.first * p->dilation_x)) *
           channels;
  if (p->dilation_x == 1) {
    copy_rows(column, row, input, line, (size_t)columns * channels, rows);
    return;
  }
  for (int32_t ky = 0; ky < rows; ky++, column += row, input += line)
    copy_rows(column, channels, input, (size_t)p->dilation_x * channels, channels, columns);
}

/* Addresses of the filters from `channel` on; behind the last filter, that again. */
static inline void find_filters(const matrix *m, const int8_t *weight, size_t channel,
                                const int8_t *filters[4]) {
  const size_t left = m->all - channel;
  filters[0] = weight + channel * m->window;
  filters[1] = filters[0] + (left > 1 ? m->window : 0);
  filters[2] = filters[1] + (left > 2 ? m->window : 0);
  filters[3] = filters[2] + (left > 3 ? m->window : 0);
}

static void prepare(const tosaic_conv *p, const int8_t *weight, const int32_t *bias, matrix *m,
                    tosaic_group *group) {
  const size_t end = m->first + m->channels, full = m->channels / 4;
  m->full.first = group;
  m->full.end = m->rest.first = group + full;
  m->rest.end = group + (m->channels + 3) / 4;
  if (full) find_filters(m, weight, m->first, m->full.filters);
  if (m->channels % 4) find_filters(m, weight, m->first + 4 * full, m->rest.filters);
  for (size_t c = m->first; c < end; c += 4, group++) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(end - c));
    const int8_t *filters[4];
    find_filters(m, weight, c, filters);
    const int32x4_t given =
        p->bias_channels == 1 ? vdupq_n_s32(bias[0]) : vldrwq_z_s32(bias + c, lanes);
    vst1q_s32(group->bias, vmlaq_n_s32(given, sums_of(filters, m->window), -p->input_zp));
    if (!m->vectors) continue;
    vst1q_s32(group->multiplier, multipliers_of(m->rescale, c, lanes));
    vst1q_s32(group->shift, rounding_shifts(m->rescale, c, lanes));
  }
}

/* All output elements: windows as they are in the input. */
static void run_pointwise(const tosaic_conv *p, const matrix *m, const int8_t *input,
                          void *output) {
  const size_t line = (size_t)p->input_width * (size_t)p->input_channels;
  const size_t width = (size_t)p->output_width;
  size_t element = 0;
  for (int32_t n = 0; n < p->batches; n++, input += (size_t)p->input_height * line)
    for (int32_t oy = 0; oy < p->output_height; oy++, element += width)
      run_elements(m, input + (size_t)(oy * p->stride_y) * line, (size_t)p->stride_x * m->window,
                   width, output, element);
}

/* All output elements: windows gathered in `columns`. */
static void run_gathered(const tosaic_conv *p, const matrix *m, const int8_t *input,
                         int8_t *columns, void *output) {
  const size_t channels = (size_t)p->input_channels;
  const size_t line = (size_t)p->input_width * channels;
  const size_t row = (size_t)p->kernel_width * channels;
  const size_t at_once = tosaic_columns(p);
  size_t element = 0;
  for (int32_t n = 0; n < p->batches; n++, input += (size_t)p->input_height * line)
    for (int32_t oy = 0; oy < p->output_height; oy++) {
      const tosaic_taps y =
          taps_of(oy, p->stride_y, p->pad_top, p->dilation_y, p->kernel_height, p->input_height);
      const bool all_rows = y.end - y.first == p->kernel_height && p->dilation_x == 1;
      size_t gathered = 0;
      for (int32_t ox = 0; ox < p->output_width; ox++) {
        int8_t *column = columns + gathered * m->window;
        const int32_t origin = ox * p->stride_x - p->pad_left;
        if (all_rows && origin >= 0 && origin + p->kernel_width <= p->input_width) {
          copy_rows(column, row, input + (size_t)y.origin * line + (size_t)origin * channels,
                    (size_t)p->dilation_y * line, row, p->kernel_height);
        } else {
          gather(
              p, input, y,
              taps_of(ox, p->stride_x, p->pad_left, p->dilation_x, p->kernel_width, p->input_width),
              column);
        }
        if (++gathered == at_once || ox + 1 == p->output_width) {
          run_elements(m, columns, m->window, gathered, output, element);
          element += gathered;
          gathered = 0;
        }
      }
    }
}

void tosaic_conv2d_i8(const tosaic_conv *p, const int8_t *input, const int8_t *weight,
                      const int32_t *bias, const tosaic_rescale *rescale, void *output,
                      void *scratch) {
  if (!tosaic_mve_takes(p)) {
    tosaic_conv2d_i8_portable(p, input, weight, bias, rescale, output, scratch);
    return;
  }
  tosaic_group *const groups = (tosaic_group *)scratch;
  const size_t part = 4 * tosaic_groups(p);
  matrix m; /* not initialised as a whole, which would be a call of memset */
  m.window = tosaic_window(p);
  m.all = (size_t)p->output_channels;
  m.rescale = rescale;
  m.vectors = suits_vectors(rescale, m.all);
  m.limits.zp = vdupq_n_s32(m.vectors ? rescale->output_zp : 0);
  m.limits.min = vdupq_n_s32(m.vectors ? rescale->min : 0);
  m.limits.max = vdupq_n_s32(m.vectors ? rescale->max : 0);
  /* From the last part to the first: see multiply_rest. */
  for (size_t parts = (m.all + part - 1) / part; parts > 0; parts--) {
    m.first = (parts - 1) * part;
    m.channels = m.all - m.first < part ? m.all - m.first : part;
    prepare(p, weight, bias, &m, groups);
    if (tosaic_is_pointwise(p)) {
      run_pointwise(p, &m, input, output);
    } else {
      run_gathered(p, &m, input, (int8_t *)(groups + tosaic_groups(p)), output);
    }
  }
}
