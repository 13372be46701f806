/* DEPTHWISE_CONV2D of int8: a vector has the same tap of neighbouring channels.
 *
 * The zero point comes out of the sums: sum((x - zp) * w) = sum(x * w) - zp * sum(w), whose second
 * part goes into the bias once; taps outside of the input read the zero point.
 */
#include "../reference/convolution.h"
#include "output.h"

/* For what the vectors do not take. */
static TOSAIC_CONVOLUTION(TOSAIC_DEPTHWISE, depthwise_conv2d_i8_portable, TOSAIC_TYPES_I8)

    /* Sums of eight channels: of even number, of odd number. */
    typedef struct sums {
  int32x4_t even, odd;
} sums;

/* What becomes of the sums. */
typedef enum stage { KEEP_OR_RESCALE_ONE_BY_ONE, SINGLE_ROUND, DOUBLE_ROUND } stage;

typedef struct layer {
  const tosaic_conv *conv;
  const int8_t *weight;
  size_t channels, filters, multiplier;
  size_t blocks; /* how many of the filters come in whole blocks of 16 */
  const tosaic_rescale *rescale;
  int16x8_t min, max;
  int16_t zp;
  tosaic_pairs *pairs;
  int8_t *outside; /* the zero point in each channel */
  tosaic_segment *segments, *end;
} layer;

/* The sums of 16 channels, whose inputs are `offset` behind those of the segments. */
TOSAIC_INLINE void sum_block(const layer *y, const tosaic_pairs *pairs, size_t offset, sums *low,
                             sums *high) {
  const tosaic_segment *segment = y->segments;
  const int8_t *weight = y->weight + offset;
  int32x4_t a, b, c, d;
  uint32_t x, stride, count;
  __asm__ volatile(
      "vldrw.32 %q[a], [%[pairs]]\n"
      "vldrw.32 %q[b], [%[pairs], #16]\n"
      "vldrw.32 %q[c], [%[pairs], #96]\n"
      "vldrw.32 %q[d], [%[pairs], #112]\n"
      "1: ldrd %[x], %[stride], [%[segment]], #8\n"
      "ldr %[count], [%[segment]], #4\n"
      "add %[x], %[x], %[offset]\n"
      "dls lr, %[count]\n"
      "2: vldrb.s16 q0, [%[x]]\n"
      "vldrb.s16 q1, [%[weight]]\n"
      "vmullb.s16 q2, q0, q1\n"
      "vmullt.s16 q3, q0, q1\n"
      "vldrb.s16 q0, [%[x], #8]\n"
      "vldrb.s16 q1, [%[weight], #8]\n"
      "vadd.i32 %q[a], %q[a], q2\n"
      "vmullb.s16 q2, q0, q1\n"
      "vadd.i32 %q[b], %q[b], q3\n"
      "vmullt.s16 q3, q0, q1\n"
      "add %[x], %[x], %[stride]\n"
      "vadd.i32 %q[c], %q[c], q2\n"
      "add %[weight], %[weight], %[filters]\n"
      "vadd.i32 %q[d], %q[d], q3\n"
      "le lr, 2b\n"
      "cmp %[segment], %[end]\n"
      "bne 1b\n"
      : [a] "=&w"(a), [b] "=&w"(b), [c] "=&w"(c), [d] "=&w"(d), [x] "=&l"(x),
        [stride] "=&r"(stride), [count] "=&r"(count), [segment] "+r"(segment), [weight] "+l"(weight)
      : [pairs] "r"(pairs), [end] "r"(y->end), [offset] "r"(offset), [filters] "r"(y->filters)
      : "q0", "q1", "q2", "q3", "lr", "cc", "memory");
  *low = (sums){a, b};
  *high = (sums){c, d};
}

/* The sums of up to 8 channels; with a multiplier above 1 several have the same input. */
static __attribute__((noinline)) sums sum_part(const layer *y, size_t filter, size_t count) {
  const mve_pred16_t active = vctp16q((uint32_t)count);
  const tosaic_pairs *pairs = y->pairs + filter / 8;
  const size_t channel = filter / y->multiplier;
  const int8_t *weight = y->weight + filter;
  sums s = {vld1q_s32(pairs->bias[0]), vld1q_s32(pairs->bias[1])};
  uint16_t offset[8];
  for (size_t k = 0; k < 8; k++) offset[k] = (uint16_t)((filter + k) / y->multiplier - channel);
  const uint16x8_t offsets = vld1q_u16(offset);
  for (const tosaic_segment *segment = y->segments; segment != y->end; segment++) {
    const int8_t *at = (const int8_t *)(uintptr_t)segment->input + channel;
    for (uint32_t k = 0; k < segment->count; k++) {
      const int16x8_t x = vldrbq_gather_offset_z_s16(at, offsets, active);
      const int16x8_t w = vldrbq_z_s16(weight, active);
      s.even = vaddq_s32(s.even, vmullbq_int_s16(x, w));
      s.odd = vaddq_s32(s.odd, vmulltq_int_s16(x, w));
      at += segment->stride;
      weight += y->filters;
    }
  }
  return s;
}

/* The sums of eight channels as int8. */
TOSAIC_INLINE int16x8_t finished(const layer *y, stage stage, const tosaic_pairs *pairs, sums s) {
  const bool twice = stage == DOUBLE_ROUND;
  s.even = rescaled(s.even, vld1q_s32(pairs->multiplier[0]), vld1q_s32(pairs->shift[0]), twice);
  s.odd = rescaled(s.odd, vld1q_s32(pairs->multiplier[1]), vld1q_s32(pairs->shift[1]), twice);
  /* The bottom halves are overwritten with the even ones, the top halves with the odd ones. */
  int16x8_t result = vqmovnbq_s32(vreinterpretq_s16_s32(s.even), s.even);
  result = vqaddq_n_s16(vqmovntq_s32(result, s.odd), y->zp);
  return vminq_s16(vmaxq_s16(result, y->min), y->max);
}

static void store_sums(const layer *y, sums s, size_t filter, size_t count, void *output,
                       size_t index) {
  int32_t values[2][4];
  vst1q_s32(values[0], s.even);
  vst1q_s32(values[1], s.odd);
  for (size_t k = 0; k < count; k++)
    tosaic_store_i32_sum(y->rescale, values[k % 2][k / 2], filter + k, output, index + k);
}

TOSAIC_INLINE void element(const layer *y, stage stage, void *output, size_t index) {
  const tosaic_pairs *pairs = y->pairs;
  int8_t *out = (int8_t *)output + index;
  size_t filter = 0;
  for (; filter < y->blocks; filter += 16, pairs += 2, out += 16) {
    sums low, high;
    sum_block(y, pairs, filter, &low, &high);
    if (stage == KEEP_OR_RESCALE_ONE_BY_ONE) {
      store_sums(y, low, filter, 8, output, index + filter);
      store_sums(y, high, filter + 8, 8, output, index + filter + 8);
    } else {
      vstrbq_s16(out, finished(y, stage, pairs, low));
      vstrbq_s16(out + 8, finished(y, stage, pairs + 1, high));
    }
  }
  for (; filter < y->filters; filter += 8, pairs++, out += 8) {
    const size_t count = (size_t)tosaic_min(8, (int32_t)(y->filters - filter));
    const sums s = sum_part(y, filter, count);
    if (stage == KEEP_OR_RESCALE_ONE_BY_ONE) {
      store_sums(y, s, filter, count, output, index + filter);
    } else {
      vstrbq_p_s16(out, finished(y, stage, pairs, s), vctp16q((uint32_t)count));
    }
  }
}

static __attribute__((noinline)) void element_sums(const layer *y, void *output, size_t index) {
  element(y, KEEP_OR_RESCALE_ONE_BY_ONE, output, index);
}
static __attribute__((noinline)) void element_single(const layer *y, void *output, size_t index) {
  element(y, SINGLE_ROUND, output, index);
}
static __attribute__((noinline)) void element_double(const layer *y, void *output, size_t index) {
  element(y, DOUBLE_ROUND, output, index);
}

static inline void add_segment(layer *y, const int8_t *x, size_t stride, int32_t count) {
  if (count > 0)
    *y->end++ = (tosaic_segment){(uint32_t)(uintptr_t)x, (uint32_t)stride, (uint32_t)count};
}

/* Note the segments of a window whose first tap, maybe outside of the input, is at x. */
static inline void find_segments(layer *y, const int8_t *x, tosaic_taps rows, tosaic_taps columns) {
  const tosaic_conv *p = y->conv;
  const ptrdiff_t step = p->dilation_x * (ptrdiff_t)y->channels;
  const ptrdiff_t row = (ptrdiff_t)p->dilation_y * p->input_width * (ptrdiff_t)y->channels;
  const int32_t before = columns.first, inside = columns.end - columns.first;
  const int32_t after = p->kernel_width - columns.end;
  y->end = y->segments;
  add_segment(y, y->outside, 0, rows.first * p->kernel_width);
  x += rows.first * row + before * step;
  for (int32_t ky = rows.first; ky < rows.end; ky++, x += row) {
    add_segment(y, y->outside, 0, before);
    add_segment(y, x, (size_t)step, inside);
    add_segment(y, y->outside, 0, after);
  }
  add_segment(y, y->outside, 0, (p->kernel_height - rows.end) * p->kernel_width);
}

static inline void move_segments(layer *y, size_t step) {
  for (tosaic_segment *segment = y->segments; segment != y->end; segment++)
    if (segment->stride) segment->input += step;
}

/* The four of even (odd = 0) or odd number among eight channels, from those in order. */
static inline int32x4_t every_second(const int32_t *values, size_t odd) {
  const uint32x4_t offset = vmulq_n_u32(vidupq_n_u32(0, 1), 8);
  return vldrwq_gather_offset_s32(values + odd, offset);
}

static void prepare(const layer *y, bool vectors, const int32_t *bias) {
  const tosaic_conv *p = y->conv;
  const int32_t taps = p->kernel_height * p->kernel_width;
  for (size_t c = 0; c < y->filters; c += 8) {
    tosaic_pairs *pairs = y->pairs + c / 8;
    int32_t values[3][8];
    for (size_t k = 0; k < 8; k += 4) {
      const size_t at = c + k;
      if (at >= y->filters) break;
      const mve_pred16_t lanes = vctp32q((uint32_t)(y->filters - at));
      int32x4_t sum = vdupq_n_s32(0);
      const int8_t *weight = y->weight + at;
      for (int32_t t = 0; t < taps; t++, weight += y->filters)
        sum = vaddq_s32(sum, vldrbq_z_s32(weight, lanes));
      const int32x4_t given =
          p->bias_channels == 1 ? vdupq_n_s32(bias[0]) : vldrwq_z_s32(bias + at, lanes);
      vst1q_s32(values[0] + k, vmlaq_n_s32(given, sum, -p->input_zp));
      if (!vectors) continue;
      vst1q_s32(values[1] + k, multipliers_of(y->rescale, at, lanes));
      vst1q_s32(values[2] + k, rounding_shifts(y->rescale, at, lanes));
    }
    for (size_t odd = 0; odd < 2; odd++) {
      vst1q_s32(pairs->bias[odd], every_second(values[0], odd));
      if (!vectors) continue;
      vst1q_s32(pairs->multiplier[odd], every_second(values[1], odd));
      vst1q_s32(pairs->shift[odd], every_second(values[2], odd));
    }
  }
}

void tosaic_depthwise_conv2d_i8(const tosaic_conv *p, const int8_t *input, const int8_t *weight,
                                const int32_t *bias, const tosaic_rescale *rescale, void *output,
                                void *scratch) {
  if (!tosaic_takes_i8(p)) {
    tosaic_depthwise_conv2d_i8_portable(p, input, weight, bias, rescale, output, scratch);
    return;
  }
  layer y = {.conv = p,
             .weight = weight,
             .channels = (size_t)p->input_channels,
             .filters = (size_t)p->output_channels,
             .multiplier = (size_t)(p->output_channels / p->input_channels),
             .rescale = rescale,
             .pairs = (tosaic_pairs *)scratch};
  y.segments = (tosaic_segment *)(y.pairs + tosaic_pairs_count(p));
  y.outside = (int8_t *)(y.segments + tosaic_segments(p));
  for (size_t k = 0; k < tosaic_outside_bytes(p); k++) y.outside[k] = (int8_t)p->input_zp;
  const bool vectors = suits_vectors(rescale, y.filters);
  y.blocks = y.multiplier == 1 ? y.filters & ~(size_t)15 : 0;
  if (vectors) {
    y.zp = (int16_t)rescale->output_zp;
    y.min = vdupq_n_s16((int16_t)rescale->min);
    y.max = vdupq_n_s16((int16_t)rescale->max);
  }
  prepare(&y, vectors, bias);
  const int32_t reach = (p->kernel_width - 1) * p->dilation_x;
  const size_t step = (size_t)p->stride_x * y.channels;
  size_t index = 0;
  for (int32_t n = 0; n < p->batches; n++)
    for (int32_t oy = 0; oy < p->output_height; oy++) {
      const tosaic_taps rows =
          taps_of(oy, p->stride_y, p->pad_top, p->dilation_y, p->kernel_height, p->input_height);
      bool follows = false; /* whether the window is the last one, moved by the stride */
      for (int32_t ox = 0; ox < p->output_width; ox++, index += y.filters) {
        const int32_t origin = ox * p->stride_x - p->pad_left;
        const bool inside = origin >= 0 && origin + reach < p->input_width;
        if (follows && inside) {
          move_segments(&y, step);
        } else {
          const tosaic_taps columns =
              taps_of(ox, p->stride_x, p->pad_left, p->dilation_x, p->kernel_width, p->input_width);
          const ptrdiff_t at =
              (ptrdiff_t)(n * p->input_height + rows.origin) * p->input_width + origin;
          find_segments(&y, input + at * (ptrdiff_t)y.channels, rows, columns);
        }
        follows = inside;
        if (!vectors) {
          element_sums(&y, output, index);
        } else if (rescale->double_round) {
          element_double(&y, output, index);
        } else {
          element_single(&y, output, index);
        }
      }
    }
}
