/* Semihosting and memory on the machine that compiles, to run a board's programs there. */
#include <stdio.h>
#include <stdlib.h>

#include "board.h"
#include "semihosting.h"

enum { MEMORY_BYTES = 64 << 20 };

uint8_t *board_memory(size_t *size) {
  *size = MEMORY_BYTES;
  return (uint8_t *)aligned_alloc(16, MEMORY_BYTES);
}

void semihosting_exit(int status) { exit(status); }

int32_t semihosting_read(const char *path, void *to, size_t size) {
  FILE *file = fopen(path, "rb");
  if (!file) return -1;
  const size_t length = fread(to, 1, size, file);
  const int whole = fgetc(file) == EOF;
  fclose(file);
  return whole ? (int32_t)length : -1;
}

static FILE *written;

int32_t semihosting_create(const char *path) {
  written = fopen(path, "wb");
  return written ? 0 : -1;
}

void semihosting_write(int32_t handle, const void *from, size_t size) {
  (void)handle;
  fwrite(from, 1, size, written);
}

void semihosting_close(int32_t handle) {
  (void)handle;
  fclose(written);
}
