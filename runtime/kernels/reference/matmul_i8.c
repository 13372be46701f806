#include "matmul.h"

MATMUL(i8, int8_t, uint32_t, PRODUCT_I8, STORE_I32)
