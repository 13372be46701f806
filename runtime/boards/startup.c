/* Reset and exception handlers for Cortex-M; the symbols are the linker script's. */
#include <stdint.h>
#include <string.h>

#include "board.h"
#include "semihosting.h"

extern uint8_t data_begin[], data_end[], data_image[], bss_begin[], bss_end[];
extern uint8_t model_begin[], arena_end[];
extern uint32_t stack_limit[], stack_top[];

enum { STACK_PATTERN = 0xa5a5a5a5 };

int main(void);

void start(void) {
  memcpy(data_begin, data_image, (size_t)(data_end - data_begin));
  memset(bss_begin, 0, (size_t)(bss_end - bss_begin));
  /* Painted up to this frame, so that the runner can tell how deep the stack has been. */
  uint32_t *const here = __builtin_frame_address(0);
  for (uint32_t *word = stack_limit; word < here - 16; word++) *word = STACK_PATTERN;
  semihosting_exit(main());
}

uint32_t stack_high_water(void) {
  const uint32_t *word = stack_limit;
  while (word < stack_top && *word == STACK_PATTERN) word++;
  return (uint32_t)((stack_top - word) * (ptrdiff_t)sizeof(*word));
}

uint8_t *board_memory(size_t *size) {
  *size = (size_t)(arena_end - model_begin);
  return model_begin;
}

/* The FPU and MVE have to be on before the compiler's code uses their registers. */
__attribute__((naked)) void reset(void) {
  __asm__ volatile(
      "ldr r0, =0xe000ed88\n" /* CPACR: full access to coprocessors 10 and 11 */
      "ldr r1, [r0]\n"
      "orr r1, r1, #(15 << 20)\n"
      "str r1, [r0]\n"
      "dsb\n"
      "isb\n"
      "b start\n");
}

static void fault(void) {
  semihosting_print("fault\n");
  semihosting_exit(1);
}

__attribute__((weak)) void on_systick(void) {}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    [0] = (void (*)(void))stack_top,
    [1] = reset,
    [2] = fault,
    [3] = fault,
    [4] = fault,
    [5] = fault,
    [6] = fault,
    [7] = fault,
    [15] = on_systick,
};
