#include "matmul.h"

#define PRODUCT(p, x, y) (x) * (y)
#define STORE(rescale, sum, w, output, index) ((float *)output)[index] = sum

MATMUL(f32, float, float, PRODUCT, STORE)
