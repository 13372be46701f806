/* The loops of all convolutions, instantiated by their source files per type.
 *
 * TOSAIC_CONVOLUTION(LOOPS, NAME, INPUT, WEIGHT, PRODUCT, BIAS, BIAS_AT, SUM, STORE) defines the
 * kernel tosaic_NAME with LOOPS(...), one of the macros below. SUM is uint32_t or uint64_t, as sums
 * of integers wrap, or float.
 */
#ifndef TOSAIC_REFERENCE_CONVOLUTION_H
#define TOSAIC_REFERENCE_CONVOLUTION_H

#include "../arithmetic.h"

/* An element of the input times an element of the weight. */
static inline uint32_t product_i8(const tosaic_conv *p, int8_t x, const int8_t *weight, size_t at) {
  return (uint32_t)(x - p->input_zp) * (uint32_t)(weight[at] - p->weight_zp);
}
static inline uint32_t product_i8_i4(const tosaic_conv *p, int8_t x, const uint8_t *weight,
                                     size_t at) {
  return (uint32_t)(x - p->input_zp) * (uint32_t)(tosaic_load_i4(weight, at) - p->weight_zp);
}
static inline uint64_t product_i16(const tosaic_conv *p, int16_t x, const int8_t *weight,
                                   size_t at) {
  return (uint64_t)(x - p->input_zp) * (uint64_t)(weight[at] - p->weight_zp);
}
static inline float product_f32(const tosaic_conv *p, float x, const float *weight, size_t at) {
  (void)p;
  return x * weight[at];
}
static inline uint32_t bias_i32(const int32_t *bias, size_t index) { return (uint32_t)bias[index]; }
static inline uint64_t bias_i48(const uint8_t *bias, size_t index) {
  return (uint64_t)tosaic_load_i48(bias, index);
}
static inline float bias_f32(const float *bias, size_t index) { return bias[index]; }
static inline size_t bias_index(const tosaic_conv *p, int32_t channel) {
  return p->bias_channels == 1 ? 0 : (size_t)channel;
}
static inline void store_i32(const tosaic_rescale *rescale, uint32_t sum, size_t channel,
                             void *output, size_t index) {
  tosaic_store_i32_sum(rescale, (int32_t)sum, channel, output, index);
}
static inline void store_i48(const tosaic_rescale *rescale, uint64_t sum, size_t channel,
                             void *output, size_t index) {
  tosaic_store_i48_sum(rescale, (int64_t)sum, channel, output, index);
}
static inline void store_f32(const tosaic_rescale *rescale, float sum, size_t channel, void *output,
                             size_t index) {
  (void)rescale, (void)channel;
  ((float *)output)[index] = sum;
}

/* Where a window begins, and which of its `size` taps fall inside 0 .. limit - 1. */
typedef struct tosaic_taps {
  int32_t origin, first, end;
} tosaic_taps;

static inline tosaic_taps taps_of(int32_t at, int32_t stride, int32_t pad, int32_t dilation,
                                  int32_t size, int32_t limit) {
  tosaic_taps taps;
  taps.origin = at * stride - pad;
  taps.first = taps.origin < 0 ? tosaic_min(size, (-taps.origin + dilation - 1) / dilation) : 0;
  taps.end =
      taps.origin >= limit
          ? taps.first
          : tosaic_max(taps.first, tosaic_min(size, (limit - 1 - taps.origin) / dilation + 1));
  return taps;
}

#define TOSAIC_KERNEL_HEAD(NAME, INPUT, WEIGHT, BIAS)                                \
  void tosaic_##NAME(const tosaic_conv *p, const INPUT *input, const WEIGHT *weight, \
                     const BIAS *bias, const tosaic_rescale *rescale, void *output, void *scratch)

#define TOSAIC_CONV3D(NAME, INPUT, WEIGHT, PRODUCT, BIAS, BIAS_AT, SUM, STORE)                    \
  TOSAIC_KERNEL_HEAD(NAME, INPUT, WEIGHT, BIAS) {                                                 \
    const size_t channels = (size_t)p->input_channels;                                            \
    size_t index = 0;                                                                             \
    (void)scratch;                                                                                \
    for (int32_t n = 0; n < p->batches; n++)                                                      \
      for (int32_t oz = 0; oz < p->output_depth; oz++) {                                          \
        const tosaic_taps z = taps_of(oz, p->stride_z, p->pad_front, p->dilation_z,               \
                                      p->kernel_depth, p->input_depth);                           \
        for (int32_t oy = 0; oy < p->output_height; oy++) {                                       \
          const tosaic_taps y = taps_of(oy, p->stride_y, p->pad_top, p->dilation_y,               \
                                        p->kernel_height, p->input_height);                       \
          for (int32_t ox = 0; ox < p->output_width; ox++) {                                      \
            const tosaic_taps x = taps_of(ox, p->stride_x, p->pad_left, p->dilation_x,            \
                                          p->kernel_width, p->input_width);                       \
            for (int32_t oc = 0; oc < p->output_channels; oc++, index++) {                        \
              SUM sum = BIAS_AT(bias, bias_index(p, oc));                                         \
              for (int32_t kz = z.first; kz < z.end; kz++)                                        \
                for (int32_t ky = y.first; ky < y.end; ky++)                                      \
                  for (int32_t kx = x.first; kx < x.end; kx++) {                                  \
                    const size_t iz =                                                             \
                        (size_t)(n * p->input_depth + z.origin + kz * p->dilation_z);             \
                    const size_t iy =                                                             \
                        iz * (size_t)p->input_height + (size_t)(y.origin + ky * p->dilation_y);   \
                    const size_t ix =                                                             \
                        iy * (size_t)p->input_width + (size_t)(x.origin + kx * p->dilation_x);    \
                    const size_t kernel = (((size_t)oc * (size_t)p->kernel_depth + (size_t)kz) *  \
                                               (size_t)p->kernel_height +                         \
                                           (size_t)ky) *                                          \
                                              (size_t)p->kernel_width +                           \
                                          (size_t)kx;                                             \
                    for (size_t c = 0; c < channels; c++)                                         \
                      sum += PRODUCT(p, input[ix * channels + c], weight, kernel * channels + c); \
                  }                                                                               \
              STORE(rescale, sum, (size_t)oc, output, index);                                     \
            }                                                                                     \
          }                                                                                       \
        }                                                                                         \
      }                                                                                           \
  }

#define TOSAIC_DEPTHWISE(NAME, INPUT, WEIGHT, PRODUCT, BIAS, BIAS_AT, SUM, STORE)                  \
  TOSAIC_KERNEL_HEAD(NAME, INPUT, WEIGHT, BIAS) {                                                  \
    const size_t channels = (size_t)p->input_channels;                                             \
    const size_t filters = (size_t)p->output_channels;                                             \
    const size_t multiplier = filters / channels;                                                  \
    size_t index = 0;                                                                              \
    (void)scratch;                                                                                 \
    for (int32_t n = 0; n < p->batches; n++)                                                       \
      for (int32_t oy = 0; oy < p->output_height; oy++) {                                          \
        const tosaic_taps y = taps_of(oy, p->stride_y, p->pad_top, p->dilation_y,                  \
                                      p->kernel_height, p->input_height);                          \
        for (int32_t ox = 0; ox < p->output_width; ox++) {                                         \
          const tosaic_taps x = taps_of(ox, p->stride_x, p->pad_left, p->dilation_x,               \
                                        p->kernel_width, p->input_width);                          \
          for (size_t c = 0; c < channels; c++)                                                    \
            for (size_t m = 0; m < multiplier; m++, index++) {                                     \
              const size_t oc = c * multiplier + m;                                                \
              SUM sum = BIAS_AT(bias, bias_index(p, (int32_t)oc));                                 \
              for (int32_t ky = y.first; ky < y.end; ky++)                                         \
                for (int32_t kx = x.first; kx < x.end; kx++) {                                     \
                  const size_t iy = (size_t)(n * p->input_height + y.origin + ky * p->dilation_y); \
                  const size_t ix =                                                                \
                      iy * (size_t)p->input_width + (size_t)(x.origin + kx * p->dilation_x);       \
                  const size_t kernel = (size_t)(ky * p->kernel_width + kx);                       \
                  sum += PRODUCT(p, input[ix * channels + c], weight, kernel * filters + oc);      \
                }                                                                                  \
              STORE(rescale, sum, oc, output, index);                                              \
            }                                                                                      \
        }                                                                                          \
      }                                                                                            \
  }

/* Gathered by output element, so that no accumulator tensor is needed: input element i reaches
 * output o through tap o + pad - i * stride (out_pad adds to the output's border: pad is -out_pad).
 */
#define TOSAIC_TRANSPOSE_CONV(NAME, INPUT, WEIGHT, PRODUCT, BIAS, BIAS_AT, SUM, STORE)        \
  TOSAIC_KERNEL_HEAD(NAME, INPUT, WEIGHT, BIAS) {                                             \
    const size_t channels = (size_t)p->input_channels;                                        \
    size_t index = 0;                                                                         \
    (void)scratch;                                                                            \
    for (int32_t n = 0; n < p->batches; n++)                                                  \
      for (int32_t oy = 0; oy < p->output_height; oy++)                                       \
        for (int32_t ox = 0; ox < p->output_width; ox++)                                      \
          for (int32_t oc = 0; oc < p->output_channels; oc++, index++) {                      \
            SUM sum = BIAS_AT(bias, bias_index(p, oc));                                       \
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {                               \
              const int32_t y = oy - p->pad_top - ky;                                         \
              if (y < 0 || y % p->stride_y || y / p->stride_y >= p->input_height) continue;   \
              for (int32_t kx = 0; kx < p->kernel_width; kx++) {                              \
                const int32_t x = ox - p->pad_left - kx;                                      \
                if (x < 0 || x % p->stride_x || x / p->stride_x >= p->input_width) continue;  \
                const size_t iy = (size_t)(n * p->input_height + y / p->stride_y);            \
                const size_t ix = iy * (size_t)p->input_width + (size_t)(x / p->stride_x);    \
                const size_t kernel =                                                         \
                    (size_t)((oc * p->kernel_height + ky) * p->kernel_width + kx);            \
                for (size_t c = 0; c < channels; c++)                                         \
                  sum += PRODUCT(p, input[ix * channels + c], weight, kernel * channels + c); \
              }                                                                               \
            }                                                                                 \
            STORE(rescale, sum, (size_t)oc, output, index);                                   \
          }                                                                                   \
  }

#define TOSAIC_TYPES_I8 int8_t, int8_t, product_i8, int32_t, bias_i32, uint32_t, store_i32
#define TOSAIC_TYPES_I8_I4 int8_t, uint8_t, product_i8_i4, int32_t, bias_i32, uint32_t, store_i32
#define TOSAIC_TYPES_I16 int16_t, int8_t, product_i16, uint8_t, bias_i48, uint64_t, store_i48
#define TOSAIC_TYPES_F32 float, float, product_f32, float, bias_f32, float, store_f32

/* A macro's arguments are counted before they are expanded; this expands the types first. */
#define TOSAIC_CONVOLUTION(LOOPS, NAME, ...) LOOPS(NAME, __VA_ARGS__)

#endif
