/* Runs kernels on the cases of a file: the same program on a board and on the host.
 *
 * cases.bin holds records of a `header` and blobs, each padded to 16 bytes; for each record the
 * output of its kernel is written to results.bin with GUARD bytes before and after it, which no
 * kernel may change. Marks surround each call of a kernel.
 */
#include "tosaic/kernels.h"

#include <string.h>

#include "board.h"
#include "semihosting.h"

enum { ALIGNMENT = 16, GUARD = 16, GUARD_BYTE = 0xa5, INPUTS = 3 };

typedef struct header {
  char kernel[32];        /* as in kernels.h, without tosaic_ */
  int32_t parameters[32]; /* the kernel's own structure */
  int32_t has_rescale;    /* the next seven are a tosaic_rescale */
  int32_t per_channel, double_round, input_zp, output_zp, min, max, output_type;
  int32_t input_bytes[INPUTS]; /* sizes of the blobs: operands, multipliers, shifts */
  int32_t multiplier_bytes, shift_bytes;
  int32_t output_bytes;
  int32_t rows, channels; /* of RESCALE; an elementwise operation has `channels` elements */
} header;

/* One case, with its blobs found. */
typedef struct job {
  const header *head;
  const void *inputs[INPUTS];
  const tosaic_rescale *rescale;
  void *output;
  void *scratch;
} job;

static size_t no_scratch(const void *parameters) {
  (void)parameters;
  return 0;
}

#define CONV(NAME, INPUT, WEIGHT, BIAS)                                                            \
  static void run_##NAME(const job *j) {                                                           \
    tosaic_##NAME((const tosaic_conv *)j->head->parameters, (const INPUT *)j->inputs[0],           \
                  (const WEIGHT *)j->inputs[1], (const BIAS *)j->inputs[2], j->rescale, j->output, \
                  j->scratch);                                                                     \
  }                                                                                                \
  static size_t scratch_##NAME(const void *parameters) {                                           \
    return tosaic_##NAME##_scratch((const tosaic_conv *)parameters);                               \
  }
CONV(conv2d_i8, int8_t, int8_t, int32_t)
CONV(conv2d_i8_i4, int8_t, uint8_t, int32_t)
CONV(conv2d_i16, int16_t, int8_t, uint8_t)
CONV(depthwise_conv2d_i8, int8_t, int8_t, int32_t)
CONV(depthwise_conv2d_i8_i4, int8_t, uint8_t, int32_t)
CONV(depthwise_conv2d_i16, int16_t, int8_t, uint8_t)
CONV(transpose_conv2d_i8, int8_t, int8_t, int32_t)

#define MATMUL(NAME, TYPE)                                                                \
  static void run_##NAME(const job *j) {                                                  \
    tosaic_##NAME((const tosaic_matmul *)j->head->parameters, (const TYPE *)j->inputs[0], \
                  (const TYPE *)j->inputs[1], j->rescale, j->output, j->scratch);         \
  }                                                                                       \
  static size_t scratch_##NAME(const void *parameters) {                                  \
    return tosaic_##NAME##_scratch((const tosaic_matmul *)parameters);                    \
  }
MATMUL(matmul_i8, int8_t)
MATMUL(matmul_i16, int16_t)

#define POOL(NAME, TYPE)                                                                \
  static void run_##NAME(const job *j) {                                                \
    tosaic_##NAME((const tosaic_pool *)j->head->parameters, (const TYPE *)j->inputs[0], \
                  (TYPE *)j->output);                                                   \
  }
POOL(avg_pool2d_i8, int8_t)
POOL(max_pool2d_i8, int8_t)
POOL(avg_pool2d_i16, int16_t)
POOL(max_pool2d_i16, int16_t)

#define RESCALE(NAME, TYPE)                                                     \
  static void run_##NAME(const job *j) {                                        \
    tosaic_##NAME(j->rescale, (size_t)j->head->rows, (size_t)j->head->channels, \
                  (const TYPE *)j->inputs[0], j->output);                       \
  }
RESCALE(rescale_i8, int8_t)
RESCALE(rescale_u8, uint8_t)
RESCALE(rescale_i16, int16_t)
RESCALE(rescale_u16, uint16_t)
RESCALE(rescale_i32, int32_t)
RESCALE(rescale_i48, uint8_t)

/* Parameters 0 to 2 are the steps; the argument follows. TABLE has its table as second operand. */
static void elementwise(const job *j, tosaic_row *row, const void *argument) {
  const size_t steps[INPUTS] = {(size_t)j->head->parameters[0], (size_t)j->head->parameters[1],
                                (size_t)j->head->parameters[2]};
  row((size_t)j->head->channels, j->inputs, steps, j->output, argument);
}
#define ELEMENTWISE(NAME) \
  static void run_##NAME(const job *j) { elementwise(j, tosaic_##NAME, j->head->parameters + 3); }
ELEMENTWISE(add_i32)
ELEMENTWISE(sub_i32)
ELEMENTWISE(maximum_i32)
ELEMENTWISE(mul_i8)
ELEMENTWISE(mul_i16)
ELEMENTWISE(mul_i32)
ELEMENTWISE(clamp_i8)
static void run_table_i8(const job *j) { elementwise(j, tosaic_table_i8, j->inputs[1]); }
static void run_table_i16(const job *j) { elementwise(j, tosaic_table_i16, j->inputs[1]); }

/* Parameters 0 to 2 are the sizes: those ahead of the axis, along it and behind it. */
#define REDUCTION(NAME)                                                                           \
  static void run_##NAME(const job *j) {                                                          \
    const int32_t *sizes = j->head->parameters;                                                   \
    const tosaic_reduction shape = {(size_t)sizes[0], (size_t)sizes[1], (size_t)sizes[2], false}; \
    tosaic_##NAME(&shape, j->inputs[0], j->output);                                               \
  }
REDUCTION(reduce_sum_i32)
REDUCTION(reduce_max_i8)
REDUCTION(reduce_min_i8)
REDUCTION(reduce_max_i16)
REDUCTION(reduce_min_i16)
REDUCTION(reduce_max_i32)
REDUCTION(reduce_min_i32)

static void run_resize_bilinear_i8(const job *j) {
  tosaic_resize_bilinear_i8((const tosaic_resize *)j->head->parameters,
                            (const int8_t *)j->inputs[0], (int32_t *)j->output);
}

/* The last two of three dimensions change places: parameters are the sizes, and an element's. */
static void run_transpose(const job *j) {
  const int32_t *sizes = j->head->parameters, element = sizes[3];
  const tosaic_copy copy = {
      .rank = 3,
      .element_size = (size_t)element,
      .size = {(size_t)sizes[0], (size_t)sizes[2], (size_t)sizes[1]},
      .input_stride = {sizes[1] * sizes[2] * element, element, sizes[2] * element},
      .output_stride = {sizes[1] * sizes[2] * element, sizes[1] * element, element}};
  tosaic_copy_strided(&copy, j->inputs[0], j->output);
}

static const struct {
  const char *name;
  void (*run)(const job *);
  size_t (*scratch)(const void *);
} kernels[] = {
    {"conv2d_i8", run_conv2d_i8, scratch_conv2d_i8},
    {"conv2d_i8_i4", run_conv2d_i8_i4, scratch_conv2d_i8_i4},
    {"conv2d_i16", run_conv2d_i16, scratch_conv2d_i16},
    {"depthwise_conv2d_i8", run_depthwise_conv2d_i8, scratch_depthwise_conv2d_i8},
    {"depthwise_conv2d_i8_i4", run_depthwise_conv2d_i8_i4, scratch_depthwise_conv2d_i8_i4},
    {"depthwise_conv2d_i16", run_depthwise_conv2d_i16, scratch_depthwise_conv2d_i16},
    {"transpose_conv2d_i8", run_transpose_conv2d_i8, scratch_transpose_conv2d_i8},
    {"matmul_i8", run_matmul_i8, scratch_matmul_i8},
    {"matmul_i16", run_matmul_i16, scratch_matmul_i16},
    {"avg_pool2d_i8", run_avg_pool2d_i8, no_scratch},
    {"max_pool2d_i8", run_max_pool2d_i8, no_scratch},
    {"avg_pool2d_i16", run_avg_pool2d_i16, no_scratch},
    {"max_pool2d_i16", run_max_pool2d_i16, no_scratch},
    {"rescale_i8", run_rescale_i8, no_scratch},
    {"rescale_u8", run_rescale_u8, no_scratch},
    {"rescale_i16", run_rescale_i16, no_scratch},
    {"rescale_u16", run_rescale_u16, no_scratch},
    {"rescale_i32", run_rescale_i32, no_scratch},
    {"rescale_i48", run_rescale_i48, no_scratch},
    {"add_i32", run_add_i32, no_scratch},
    {"sub_i32", run_sub_i32, no_scratch},
    {"maximum_i32", run_maximum_i32, no_scratch},
    {"mul_i8", run_mul_i8, no_scratch},
    {"mul_i16", run_mul_i16, no_scratch},
    {"mul_i32", run_mul_i32, no_scratch},
    {"clamp_i8", run_clamp_i8, no_scratch},
    {"table_i8", run_table_i8, no_scratch},
    {"table_i16", run_table_i16, no_scratch},
    {"reduce_sum_i32", run_reduce_sum_i32, no_scratch},
    {"reduce_max_i8", run_reduce_max_i8, no_scratch},
    {"reduce_min_i8", run_reduce_min_i8, no_scratch},
    {"reduce_max_i16", run_reduce_max_i16, no_scratch},
    {"reduce_min_i16", run_reduce_min_i16, no_scratch},
    {"reduce_max_i32", run_reduce_max_i32, no_scratch},
    {"reduce_min_i32", run_reduce_min_i32, no_scratch},
    {"resize_bilinear_i8", run_resize_bilinear_i8, no_scratch},
    {"transpose", run_transpose, no_scratch},
};

static size_t padded(size_t size) { return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static const uint8_t *take(const uint8_t **at, int32_t bytes) {
  const uint8_t *blob = *at;
  *at += padded((size_t)bytes);
  return blob;
}

/* Memory for the kernel to write: `size` bytes between guards. */
static uint8_t *guarded(uint8_t **at, size_t size) {
  uint8_t *block = *at;
  memset(block, GUARD_BYTE, GUARD + size + GUARD);
  *at += padded(GUARD + size + GUARD);
  return block + GUARD;
}

static bool intact(const uint8_t *block, size_t size) {
  for (size_t k = 1; k <= GUARD; k++)
    if (block[-(ptrdiff_t)k] != GUARD_BYTE || block[size + k - 1] != GUARD_BYTE) return false;
  return true;
}

/* Run the record at `*record` and append to `*results`; false where it cannot or misbehaves. */
static bool run(const uint8_t **record, uint8_t **results, const uint8_t *end) {
  const header *head = (const header *)*record;
  *record += padded(sizeof(header));
  job j = {.head = head};
  for (int k = 0; k < INPUTS; k++) j.inputs[k] = take(record, head->input_bytes[k]);
  const bool narrow = head->multiplier_bytes == 2 * head->shift_bytes; /* of int16 */
  const uint8_t *multiplier = take(record, head->multiplier_bytes);
  const tosaic_rescale rescale = {
      .multiplier32 = narrow ? NULL : (const int32_t *)multiplier,
      .multiplier16 = narrow ? (const int16_t *)multiplier : NULL,
      .shift = (const int8_t *)take(record, head->shift_bytes),
      .per_channel = head->per_channel != 0,
      .double_round = head->double_round != 0,
      .input_zp = head->input_zp,
      .output_zp = head->output_zp,
      .min = head->min,
      .max = head->max,
      .output_type = (tosaic_type)head->output_type,
  };
  j.rescale = head->has_rescale ? &rescale : NULL;
  for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++) {
    if (strcmp(kernels[k].name, head->kernel) != 0) continue;
    const size_t output = (size_t)head->output_bytes;
    const size_t scratch = kernels[k].scratch(head->parameters);
    if ((size_t)(end - *results) < output + scratch + 8 * GUARD) return false;
    j.output = guarded(results, output);
    uint8_t *after = *results; /* the next result will take the place of the scratch memory */
    j.scratch = guarded(&after, scratch);
    BOARD_MARK();
    kernels[k].run(&j);
    BOARD_MARK();
    return intact((uint8_t *)j.output, output) && intact((uint8_t *)j.scratch, scratch);
  }
  return false;
}

int main(void) {
  size_t size;
  uint8_t *memory = board_memory(&size);
  const int32_t cases = semihosting_read("cases.bin", memory, size);
  const int32_t file = semihosting_create("results.bin");
  if (cases < 0 || file < 0) semihosting_exit(1);
  const uint8_t *record = memory;
  uint8_t *results = memory + padded((size_t)cases);
  const uint8_t *const first = results;
  bool good = true;
  while (good && record < memory + cases) good = run(&record, &results, memory + size);
  semihosting_write(file, first, (size_t)(results - first));
  semihosting_close(file);
  semihosting_exit(good ? 0 : 2);
}
