/* The embedded runtime's C interface: runs a TOSA flatbuffer in memory that the caller provides.
 *
 *   static _Alignas(16) uint8_t arena[ARENA_SIZE];
 *   tosaic_config config = {.model = data, .model_size = size, .arena = arena,
 *                           .arena_size = sizeof(arena), .operators = &tosaic_all_operators};
 *   tosaic_model *model;
 *   if (tosaic_model_init(&config, &model) == TOSAIC_OK) {
 *     memcpy(tosaic_model_input(model, 0)->data, ...);
 *     tosaic_model_invoke(model);
 *     ... tosaic_model_output(model, 0)->data ...
 *
 * There is no heap, no global state and no exception; models are independent of one another, and
 * each may be used by one thread at a time. A malformed model gives an error code. The flatbuffer
 * is used in place and must stay where it is: weights are read from it, in flash if it is there.
 */
#ifndef TOSAIC_RUNTIME_H
#define TOSAIC_RUNTIME_H

#include "tosaic/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tosaic_status {
  TOSAIC_OK = 0,
  TOSAIC_BAD_ARGUMENT,    /* a null pointer, or memory not aligned to 16 bytes */
  TOSAIC_BAD_MODEL,       /* not a TOSA flatbuffer, or one that contradicts itself */
  TOSAIC_BAD_PLAN,        /* the memory plan is of another model, or damaged */
  TOSAIC_UNSUPPORTED,     /* an operator or type that is not in config->operators */
  TOSAIC_ARENA_TOO_SMALL, /* tosaic_arena_size tells what is needed */
  TOSAIC_BAD_INDEX,       /* GATHER or SCATTER met an index that TOSA does not allow */
  TOSAIC_TOO_MANY_STEPS,  /* a WHILE_LOOP ran config->max_iterations times */
  TOSAIC_CUSTOM_FAILED,   /* a custom operator's handler returned false */
} tosaic_status;

/* What a status means, in English. */
const char *tosaic_status_text(tosaic_status status);

enum { TOSAIC_ALIGNMENT = 16, TOSAIC_MAX_RANK = 6 };

/* A tensor; `shape` is inside the model or the plan. Constant data are aligned to 4 bytes, others
 * to 16. Data of the SHAPE type are int64.
 */
typedef struct tosaic_tensor {
  void *data;
  const int32_t *shape;
  uint32_t bytes;
  uint8_t type; /* tosaic_type */
  uint8_t rank;
  uint8_t constant; /* data is in the model and must not be written */
  uint8_t reserved;
} tosaic_tensor;

/* An operator for certain types of its first input; the library has one for each kernel family.
 * tosaic_all_operators lists all. A table of fewer lets the linker drop the rest.
 */
typedef struct tosaic_operator tosaic_operator;
typedef struct tosaic_operator_table {
  const tosaic_operator *const *entries;
  size_t count;
} tosaic_operator_table;
extern const tosaic_operator_table tosaic_all_operators;

/* Runs a CUSTOM operator; returns whether it could. Tensors are in the operator's order. */
typedef bool tosaic_custom_run(void *context, const char *domain, const char *name,
                               const uint8_t *attributes, size_t attributes_size,
                               const tosaic_tensor *const inputs[], size_t input_count,
                               const tosaic_tensor *const outputs[], size_t output_count);

/* Which operator a status is about: the index of its region, its index among the region's operators
 * that are not constants, and its number in tosa.fbs' enum Op.
 */
typedef struct tosaic_place {
  uint32_t graph, node, op;
} tosaic_place;

typedef struct tosaic_config {
  const void *model; /* aligned to 16 bytes */
  size_t model_size;
  const void *plan; /* from the compiler, aligned to 4; or NULL. It must stay where it is, too */
  size_t plan_size;
  void *arena; /* aligned to 16 bytes; belongs to the model until it is no longer used */
  size_t arena_size;
  const tosaic_operator_table *operators;
  tosaic_custom_run *custom; /* may be NULL */
  void *custom_context;
  uint32_t max_iterations; /* of each WHILE_LOOP; 0 is without limit */
  bool trusted;            /* model and plan are known to be whole, as in flash that is checked when
                            * the device starts: the flatbuffer verifier is left out, and with a plan
                            * all checks but those of sizes and places */
  tosaic_place *failed;    /* set where init or invoke fails at one operator; may be NULL */
} tosaic_config;

typedef struct tosaic_model tosaic_model;

/* Make the model ready; *model is inside the arena. Without a plan the flatbuffer is verified, read
 * and checked, and memory planned; with one that is done, and the plan checked so far that no
 * damage to it lets the model leave its memory. With a plan most operators check shapes when they
 * run: TOSAIC_BAD_MODEL may come from tosaic_model_invoke.
 */
tosaic_status tosaic_model_init(const tosaic_config *config, tosaic_model **model);

/* The same with a plan always: what reads flatbuffers is not linked then. */
tosaic_status tosaic_model_init_planned(const tosaic_config *config, tosaic_model **model);

/* Store in *size the bytes of arena that tosaic_model_init needs for this config; they depend on
 * the platform's pointer size. config->arena is the workspace: TOSAIC_ARENA_TOO_SMALL means that
 * *size bytes are needed at least to tell, TOSAIC_OK that *size is the answer.
 */
tosaic_status tosaic_arena_size(const tosaic_config *config, size_t *size);

size_t tosaic_model_input_count(const tosaic_model *model);
size_t tosaic_model_output_count(const tosaic_model *model);

/* Input or output `index`, or NULL. Write inputs before every invoke: their memory is used again.
 * Outputs are valid until the next invoke. int48 has 6 bytes an element.
 */
const tosaic_tensor *tosaic_model_input(const tosaic_model *model, size_t index);
const tosaic_tensor *tosaic_model_output(const tosaic_model *model, size_t index);

tosaic_status tosaic_model_invoke(tosaic_model *model);

/* Give all variables their initial values again. */
void tosaic_model_reset(tosaic_model *model);

/* Called before and after every operator, for profiles; nested for control flow. */
typedef void tosaic_trace(void *context, const tosaic_place *place, bool begins);
void tosaic_model_set_trace(tosaic_model *model, tosaic_trace *trace, void *context);

#ifdef __cplusplus
}
#endif

#endif
