#include "matmul.h"

MATMUL(i16, int16_t, uint64_t, PRODUCT_I16, STORE_I48)
