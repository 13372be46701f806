/* Runs any model on a board without relinking: the semihosting command line is
 *   runner MODEL PLAN INPUTS OUTPUTS
 * with files of the host, PLAN - for none, and all inputs and outputs one behind the other. Printed
 * are lines of "label number": the arena, stack and counts of instructions, which are right under
 * QEMU's -icount shift=0 (an instruction a nanosecond).
 */
#include <string.h>

#include "semihosting.h"
#include "tosaic/runtime.h"

/* With the header that the compiler writes for a model, only that model's operators are linked. */
#ifdef TOSAIC_MODEL_HEADER
#include TOSAIC_MODEL_HEADER
#else
#define TOSAIC_MODEL_OPERATORS tosaic_all_operators
#endif

/* A model with a header has a plan, and its arena is known; of others any kind may come. */
static tosaic_status arena_size_of(const tosaic_config *config, size_t *size) {
#ifdef TOSAIC_MODEL_ARENA
  *size = TOSAIC_MODEL_ARENA;
  return config->plan ? TOSAIC_OK : TOSAIC_BAD_ARGUMENT;
#else
  return tosaic_arena_size(config, size);
#endif
}

static tosaic_status init(const tosaic_config *config, tosaic_model **model) {
#ifdef TOSAIC_MODEL_ARENA
  return tosaic_model_init_planned(config, model);
#else
  return tosaic_model_init(config, model);
#endif
}

/* SysTick of the Armv7-M and Armv8-M architectures, at the processor's clock. */
typedef struct systick {
  volatile uint32_t control, reload, value;
} systick;
static systick *const timer = (systick *)0xe000e010;
enum { SYSTICK_ON = 7, SYSTICK_PERIOD = 1 << 24 };

static volatile uint32_t periods;

void on_systick(void) { periods++; }

static uint64_t ticks(void) {
  uint32_t before, value;
  do { /* until no period has ended in between */
    before = periods;
    value = timer->value;
  } while (before != periods);
  return (uint64_t)before * SYSTICK_PERIOD + (SYSTICK_PERIOD - 1 - value);
}

static uint64_t instructions(uint64_t duration) {
  return duration * 1000 / (TOSAIC_BOARD_HZ / 1000000);
}

/* By operator number; control flow's inner operators count for both. */
enum { OPERATORS = 128 };
typedef struct profile {
  uint64_t began[OPERATORS], spent[OPERATORS];
} profile;

static void trace(void *context, const tosaic_place *place, bool begins) {
  profile *const counts = (profile *)context;
  if (place->op >= OPERATORS) return;
  if (begins) {
    counts->began[place->op] = ticks();
  } else {
    counts->spent[place->op] += ticks() - counts->began[place->op];
  }
}

extern uint8_t model_begin[], model_end[], arena_begin[], arena_end[];
uint32_t stack_high_water(void);

static int fail(const char *what, uint32_t status) {
  semihosting_print(what);
  semihosting_print_number(" failed", status);
  return 1;
}

static uint8_t *aligned(uint8_t *at) {
  return (uint8_t *)(((uintptr_t)at + TOSAIC_ALIGNMENT - 1) & ~(uintptr_t)(TOSAIC_ALIGNMENT - 1));
}

static int write_outputs(const tosaic_model *model, const char *path) {
  const int32_t handle = semihosting_create(path);
  if (handle < 0) return fail("writing the outputs", 0);
  for (size_t k = 0; k < tosaic_model_output_count(model); k++) {
    const tosaic_tensor *tensor = tosaic_model_output(model, k);
    semihosting_write(handle, tensor->data, tensor->bytes);
  }
  semihosting_close(handle);
  return 0;
}

int main(void) {
  static char line[1024];
  static profile counts;
  char *words[5] = {0};
  semihosting_command_line(line, sizeof(line));
  char *word = line;
  for (int k = 0; k < 5 && word; k++) {
    words[k] = word;
    word = strchr(word, ' ');
    if (word) *word++ = 0;
  }
  if (!words[4]) return fail("reading the command line", 0);
  timer->reload = SYSTICK_PERIOD - 1;
  timer->value = 0;
  timer->control = SYSTICK_ON;

  uint8_t *memory = model_begin;
  tosaic_config config = {.model = memory,
                          .arena = arena_begin,
                          .arena_size = (size_t)(arena_end - arena_begin),
                          .operators = &TOSAIC_MODEL_OPERATORS};
  const int32_t model_size = semihosting_read(words[1], memory, (size_t)(model_end - memory));
  if (model_size < 0) return fail("reading the model", 0);
  config.model_size = (size_t)model_size;
  memory = aligned(memory + model_size);
  if (strcmp(words[2], "-") != 0) {
    const int32_t plan_size = semihosting_read(words[2], memory, (size_t)(model_end - memory));
    if (plan_size < 0) return fail("reading the plan", 0);
    config.plan = memory;
    config.plan_size = (size_t)plan_size;
    memory = aligned(memory + plan_size);
  }
  const int32_t inputs_size = semihosting_read(words[3], memory, (size_t)(model_end - memory));
  if (inputs_size < 0) return fail("reading the inputs", 0);

  size_t arena_size = 0;
  tosaic_status status = arena_size_of(&config, &arena_size);
  if (status != TOSAIC_OK) return fail("tosaic_arena_size", status);
  config.arena_size = arena_size;
  tosaic_model *model;
  const uint64_t begin = ticks();
  status = init(&config, &model);
  const uint64_t ready = ticks();
  if (status != TOSAIC_OK) return fail("tosaic_model_init", status);
  config.trusted = true; /* which it may be now */
  const uint64_t again = ticks();
  status = init(&config, &model);
  const uint64_t trusted = ticks();
  if (status != TOSAIC_OK) return fail("tosaic_model_init", status);
  size_t used = 0;
  for (size_t k = 0; k < tosaic_model_input_count(model); k++) {
    const tosaic_tensor *tensor = tosaic_model_input(model, k);
    if (used + tensor->bytes > (size_t)inputs_size) return fail("reading the inputs", 0);
    memcpy(tensor->data, memory + used, tensor->bytes);
    used += tensor->bytes;
  }
  const uint64_t invoked = ticks();
  status = tosaic_model_invoke(model);
  const uint64_t done = ticks();
  if (status != TOSAIC_OK) return fail("tosaic_model_invoke", status);
  if (write_outputs(model, words[4])) return 1;
  semihosting_print_number("arena_bytes", arena_size);
  semihosting_print_number("stack_bytes", stack_high_water());
  semihosting_print_number("init_instructions", instructions(ready - begin));
  semihosting_print_number("init_trusted_instructions", instructions(trusted - again));
  semihosting_print_number("invoke_instructions", instructions(done - invoked));

  /* Once more for the profile, which costs instructions itself. */
  used = 0;
  for (size_t k = 0; k < tosaic_model_input_count(model); k++) {
    const tosaic_tensor *tensor = tosaic_model_input(model, k);
    memcpy(tensor->data, memory + used, tensor->bytes);
    used += tensor->bytes;
  }
  tosaic_model_set_trace(model, trace, &counts);
  tosaic_model_invoke(model);
  for (uint32_t op = 0; op < OPERATORS; op++) {
    if (!counts.spent[op]) continue;
    semihosting_print_number("op", op);
    semihosting_print_number("op_instructions", instructions(counts.spent[op]));
  }
  return 0;
}
