/* What a board gives a program beside semihosting: memory, and marks for counting. */
#ifndef TOSAIC_BOARDS_BOARD_H
#define TOSAIC_BOARDS_BOARD_H

#include <stddef.h>
#include <stdint.h>

/* The board's large memory, for a model, its inputs and its arena; aligned to 16. */
uint8_t *board_memory(size_t *size);

/* qemu/count_instructions.c notes the number of instructions executed up to each mark. DBG is a
 * hint that does nothing on a core without a debugger's trace.
 */
#if defined(__arm__)
#define BOARD_MARK() __asm__ volatile("dbg #1" ::: "memory")
#else
#define BOARD_MARK() ((void)0)
#endif

#endif
