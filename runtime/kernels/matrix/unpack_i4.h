/* Weights of int4 as int8. Each set has it in an unpack_i4.c. */
#ifndef TOSAIC_MATRIX_UNPACK_I4_H
#define TOSAIC_MATRIX_UNPACK_I4_H

#include <stddef.h>
#include <stdint.h>

/* Unpack `count` elements from number `first` on, which is even. */
void tosaic_unpack_i4(const void *weight, size_t first, size_t count, int8_t *to);

#endif
