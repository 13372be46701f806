/* Products of matrices of int8 by vectors: a window times the filters, four at a time.
 *
 * The zero point comes out of the sums: sum((x - zp) * w) = sum(x * w) - zp * sum(w), whose second
 * part goes into the bias once.
 *
 * The loops are in assembly, as this compiler writes no tail-predicated loops: in them the last
 * round of a vector's 16 elements acts on those that are left.
 */
#include "../matrix/matrix.h"

#include "output.h"

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

/* Some output elements: their windows are `step` bytes apart, and their results `out_step`. */
typedef struct run {
  const int8_t *x;
  int8_t *out;
  size_t step, out_step, count;
} run;

/* Defines NAME: for each element of a run and each group of a part, sums of the window and four
 * filters, from the bias on, and STAGE, which takes the sums in q3 and takes `group` on from its
 * multipliers.
 */
#define GROUPS(NAME, STAGE)                                                                  \
  static __attribute__((noinline)) void NAME(run r, const tosaic_part *part, size_t window,  \
                                             const tosaic_limits *l) {                       \
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

static inline void multiply(const tosaic_matrix *m, run r, const tosaic_part *part) {
  if (!m->vectors) {
    no_round(r, part, m->window, &m->limits);
  } else if (m->rescale->double_round) {
    double_round(r, part, m->window, &m->limits);
  } else {
    single_round(r, part, m->window, &m->limits);
  }
}

/* The channels that are no group of four, the operation's last. Four results are stored where
 * fewer are: those too many are overwritten by what comes later, but for the last elements, of
 * which three with one channel reach over the end, and but for what lies between the elements.
 */
static void multiply_rest(const tosaic_matrix *m, run r) {
  int8_t results[4];
  const size_t full = m->channels & ~(size_t)3;
  const size_t reaching = r.out_step != m->all ? r.count : m->all == 1 ? 3 : 1;
  const size_t before = r.count > reaching ? r.count - reaching : 0;
  r.out += full;
  multiply(m, (run){r.x, r.out, r.step, r.out_step, before}, &m->rest);
  for (size_t element = before; element < r.count; element++) {
    multiply(m, (run){r.x + element * r.step, results, 0, 0, 1}, &m->rest);
    int8_t *out = r.out + element * r.out_step;
    for (size_t k = 0; m->vectors && k < m->channels - full; k++) out[k] = results[k];
  }
}

static inline void multiply_all(const tosaic_matrix *m, run r) {
  if (m->rest.first != m->rest.end) multiply_rest(m, r);
  if (m->full.first != m->full.end) multiply(m, r, &m->full);
}

static void shift_biases(const tosaic_matrix *m, int32_t by) {
  for (tosaic_group *group = m->full.first; group != m->rest.end; group++)
    vst1q_s32(group->bias, vaddq_n_s32(vld1q_s32(group->bias), by));
}

void tosaic_matrix_run(const tosaic_matrix *m, const int8_t *x, size_t step, size_t count,
                       size_t index, size_t index_step, const int32_t *shifts) {
  index += m->first;
  if (m->vectors && !shifts) {
    multiply_all(m, (run){x, (int8_t *)m->output + index, step, index_step, count});
    return;
  }
  int32_t shifted = 0;
  for (size_t k = 0; k < count; k++, x += step, index += index_step) {
    if (shifts) {
      shift_biases(m, tosaic_wrap_sub(shifts[k], shifted));
      shifted = shifts[k];
    }
    multiply_all(m, (run){x, (int8_t *)m->output + index, 0, m->all, 1});
    for (size_t c = 0; !m->vectors && c < m->channels; c++)
      tosaic_store_i32_sum(m->rescale, m->full.first[c / 4].multiplier[c % 4], m->first + c,
                           m->output, index + c);
  }
  if (shifted) shift_biases(m, tosaic_wrap_sub(0, shifted));
}

/* Addresses of four filters, of which `left` are there; behind the last one, that again. */
static inline void find_filters(const tosaic_matrix *m, const int8_t *filters, size_t left,
                                const int8_t *found[4]) {
  found[0] = filters;
  found[1] = found[0] + (left > 1 ? m->window : 0);
  found[2] = found[1] + (left > 2 ? m->window : 0);
  found[3] = found[2] + (left > 3 ? m->window : 0);
}

void tosaic_matrix_prepare(tosaic_matrix *m, const int8_t *filters, size_t first, size_t count,
                           const int32_t *bias, size_t bias_step) {
  const size_t full = count / 4;
  tosaic_group *group = m->groups;
  m->first = first;
  m->channels = count;
  m->full.first = group;
  m->full.end = m->rest.first = group + full;
  m->rest.end = group + (count + 3) / 4;
  if (full) find_filters(m, filters, 4, m->full.filters);
  if (count % 4) find_filters(m, filters + 4 * full * m->window, count % 4, m->rest.filters);
  for (size_t c = 0; c < count; c += 4, group++) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(count - c));
    const int8_t *four[4];
    find_filters(m, filters + c * m->window, count - c, four);
    const int32x4_t given =
        bias_step ? vldrwq_z_s32(bias + first + c, lanes) : vdupq_n_s32(bias[0]);
    vst1q_s32(group->bias, vmlaq_n_s32(given, sums_of(four, m->window), -m->zero_point));
    if (!m->vectors) continue;
    vst1q_s32(group->multiplier, multipliers_of(m->rescale, first + c, lanes));
    vst1q_s32(group->shift, rounding_shifts(m->rescale, first + c, lanes));
  }
}

void tosaic_matrix_init(tosaic_matrix *m, size_t window, size_t all, int32_t zero_point,
                        const tosaic_rescale *rescale, void *output, void *scratch) {
  m->window = window;
  m->all = all;
  m->zero_point = zero_point;
  m->rescale = rescale;
  m->vectors = suits_vectors(rescale, all);
  m->limits.zp = vdupq_n_s32(m->vectors ? rescale->output_zp : 0);
  m->limits.min = vdupq_n_s32(m->vectors ? rescale->min : 0);
  m->limits.max = vdupq_n_s32(m->vectors ? rescale->max : 0);
  m->output = output;
  m->groups = (tosaic_group *)scratch;
}

int32_t tosaic_sum_i8(const int8_t *x, size_t count) {
  int32_t sum = 0;
  __asm__ volatile(
      "dlstp.8 lr, %[count]\n"
      "1: vldrb.8 q0, [%[x]], #16\n"
      "vaddva.s8 %[sum], q0\n"
      "letp lr, 1b\n"
      : [sum] "+Te"(sum), [x] "+r"(x)
      : [count] "r"(count)
      : "q0", "lr", "memory");
  return sum;
}

int32_t tosaic_dot_i8(const int8_t *x, const int8_t *y, size_t count) {
  int32_t sum = 0;
  __asm__ volatile(
      "dlstp.8 lr, %[count]\n"
      "1: vldrb.8 q0, [%[x]], #16\n"
      "vldrb.8 q1, [%[y]], #16\n"
      "vmladava.s8 %[sum], q0, q1\n"
      "letp lr, 1b\n"
      : [sum] "+Te"(sum), [x] "+r"(x), [y] "+r"(y)
      : [count] "r"(count)
      : "q0", "q1", "lr", "memory");
  return sum;
}

void tosaic_row_by_columns(const int8_t *row, int32_t zero_point, const int8_t *columns,
                           size_t width, size_t channels, size_t count,
                           int32_t sums[TOSAIC_ROW_COLUMNS]) {
  const int8_t *const end = row + channels;
  size_t k = 0;
  for (; k + 16 <= count; k += 16, columns += 16, sums += 16) {
    int32x4_t a = vld1q_s32(sums), b = vld1q_s32(sums + 4);
    int32x4_t c = vld1q_s32(sums + 8), d = vld1q_s32(sums + 12);
    const int8_t *y = columns;
    for (const int8_t *x = row; x != end; x++, y += width) {
      const int32_t factor = *x - zero_point;
      a = vmlaq_n_s32(a, vldrbq_s32(y), factor);
      b = vmlaq_n_s32(b, vldrbq_s32(y + 4), factor);
      c = vmlaq_n_s32(c, vldrbq_s32(y + 8), factor);
      d = vmlaq_n_s32(d, vldrbq_s32(y + 12), factor);
    }
    vst1q_s32(sums, a);
    vst1q_s32(sums + 4, b);
    vst1q_s32(sums + 8, c);
    vst1q_s32(sums + 12, d);
  }
  for (; k < count; k += 4, columns += 4, sums += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(count - k));
    int32x4_t a = vldrwq_z_s32(sums, lanes);
    const int8_t *y = columns;
    for (const int8_t *x = row; x != end; x++, y += width)
      a = vmlaq_n_s32(a, vldrbq_z_s32(y, lanes), *x - zero_point);
    vstrwq_p_s32(sums, a, lanes);
  }
}
