/* Files and text of the host through Arm semihosting (a debugger, or QEMU). */
#ifndef TOSAIC_BOARDS_SEMIHOSTING_H
#define TOSAIC_BOARDS_SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

void semihosting_print(const char *text);
void semihosting_print_number(const char *label, uint64_t number);

__attribute__((noreturn)) void semihosting_exit(int status);

/* The command line, words separated by spaces. */
void semihosting_command_line(char *buffer, size_t size);

/* Reads a whole file to `to`; the number of bytes, or -1 if it is missing or too large. */
int32_t semihosting_read(const char *path, void *to, size_t size);

/* Opens a file for writing; a handle, or -1. */
int32_t semihosting_create(const char *path);
void semihosting_write(int32_t handle, const void *from, size_t size);
void semihosting_close(int32_t handle);

#endif
