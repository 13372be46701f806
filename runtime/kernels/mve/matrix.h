/* The matrix products of the MVE kernels: see ../matrix/matrix.h. */
#ifndef TOSAIC_MVE_MATRIX_H
#define TOSAIC_MVE_MATRIX_H

#include <arm_mve.h>

#include "scratch.h"

typedef struct tosaic_limits {
  int32x4_t zp, min, max;
} tosaic_limits;

/* Groups of filters, and where the first four are: after them one is behind the other. */
typedef struct tosaic_part {
  tosaic_group *first, *end;
  const int8_t *filters[4];
} tosaic_part;

typedef struct tosaic_matrix {
  size_t window, all;
  size_t first, channels; /* of the prepared filters */
  int32_t zero_point;
  const tosaic_rescale *rescale;
  bool vectors; /* whether the rescale suits vectors */
  tosaic_limits limits;
  void *output;
  tosaic_group *groups;
  tosaic_part full,
      rest; /* groups of four, and the one of fewer: then with the last filter again */
} tosaic_matrix;

#endif
