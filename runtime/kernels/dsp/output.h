/* The output stage of the DSP kernels. */
#ifndef TOSAIC_DSP_OUTPUT_H
#define TOSAIC_DSP_OUTPUT_H

#include "../arithmetic.h"

/* What becomes of sums: the usual rescales to int8 take 32-bit arithmetic (see ../mve/output.h),
 * the others that of the reference kernels.
 */
typedef enum tosaic_stage { TOSAIC_GENERAL, TOSAIC_SINGLE_ROUND, TOSAIC_DOUBLE_ROUND } tosaic_stage;

typedef struct tosaic_output {
  const tosaic_rescale *rescale;
  tosaic_stage stage;
  int32_t multiplier[4]; /* of a rescale that is not per channel, for four of them */
  int8_t shift[4];
  uint32_t min, max; /* four bytes each */
  void *data;
} tosaic_output;

tosaic_output tosaic_output_of(const tosaic_rescale *rescale, size_t channels, void *data);

/* Store the sums of four channels from `channel` on. */
void tosaic_store_four(const tosaic_output *output, const int32_t sums[4], size_t channel,
                       size_t index);

static inline void store_some(const tosaic_output *output, const int32_t *sums, size_t channel,
                              size_t index, size_t count) {
  for (size_t k = 0; k < count; k++)
    tosaic_store_i32_sum(output->rescale, sums[k], channel + k, output->data, index + k);
}

#endif
