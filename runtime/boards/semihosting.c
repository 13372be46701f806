#include "semihosting.h"

#include <string.h>

/* Operation numbers of the semihosting specification (Arm, ABI for semihosting 3.0). */
enum {
  SYS_OPEN = 0x01,
  SYS_CLOSE = 0x02,
  SYS_WRITE0 = 0x04,
  SYS_WRITE = 0x05,
  SYS_READ = 0x06,
  SYS_FLEN = 0x0c,
  SYS_GET_CMDLINE = 0x15,
  SYS_EXIT_EXTENDED = 0x20,
};
enum { MODE_READ = 1, MODE_WRITE = 5 }; /* "rb", "wb" */
enum { APPLICATION_EXIT = 0x20026 };

static int32_t call(int32_t operation, const void *argument) {
  register int32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void semihosting_print(const char *text) { call(SYS_WRITE0, text); }

void semihosting_print_number(const char *label, uint64_t number) {
  char text[22];
  char *at = text + sizeof(text) - 1;
  *at = 0;
  *--at = '\n';
  do {
    *--at = (char)('0' + number % 10);
    number /= 10;
  } while (number);
  semihosting_print(label);
  semihosting_print(" ");
  semihosting_print(at);
}

void semihosting_exit(int status) {
  const uint32_t arguments[] = {APPLICATION_EXIT, (uint32_t)status};
  for (;;) call(SYS_EXIT_EXTENDED, arguments);
}

void semihosting_command_line(char *buffer, size_t size) {
  const uintptr_t arguments[] = {(uintptr_t)buffer, size};
  buffer[0] = 0;
  call(SYS_GET_CMDLINE, arguments);
}

static int32_t open_file(const char *path, uint32_t mode) {
  const uintptr_t arguments[] = {(uintptr_t)path, mode, strlen(path)};
  return call(SYS_OPEN, arguments);
}

int32_t semihosting_read(const char *path, void *to, size_t size) {
  const int32_t handle = open_file(path, MODE_READ);
  if (handle < 0) return -1;
  const uintptr_t of_handle[] = {(uintptr_t)handle};
  const int32_t length = call(SYS_FLEN, of_handle);
  int32_t result = -1;
  if (length >= 0 && (size_t)length <= size) {
    const uintptr_t arguments[] = {(uintptr_t)handle, (uintptr_t)to, (uintptr_t)length};
    if (call(SYS_READ, arguments) == 0) result = length; /* bytes not read */
  }
  semihosting_close(handle);
  return result;
}

int32_t semihosting_create(const char *path) { return open_file(path, MODE_WRITE); }

void semihosting_write(int32_t handle, const void *from, size_t size) {
  const uintptr_t arguments[] = {(uintptr_t)handle, (uintptr_t)from, size};
  call(SYS_WRITE, arguments);
}

void semihosting_close(int32_t handle) {
  const uintptr_t arguments[] = {(uintptr_t)handle};
  call(SYS_CLOSE, arguments);
}
