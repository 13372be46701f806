#include "matmul.h"

/* Sums wrap. */
#define PRODUCT_I8(p, x, y) (uint32_t)((x) - (p)->a_zp) * (uint32_t)((y) - (p)->b_zp)
#define PRODUCT_I16(p, x, y) (uint64_t)((x) - (p)->a_zp) * (uint64_t)((y) - (p)->b_zp)
#define STORE_I32(rescale, sum, w, output, index) \
  tosaic_store_i32_sum(rescale, (int32_t)sum, w, output, index)
#define STORE_I48(rescale, sum, w, output, index) \
  tosaic_store_i48_sum(rescale, (int64_t)sum, w, output, index)

MATMUL(i8, int8_t, uint32_t, PRODUCT_I8, STORE_I32)
MATMUL(i16, int16_t, uint64_t, PRODUCT_I16, STORE_I48)
