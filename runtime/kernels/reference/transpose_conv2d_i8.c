#include "convolution.h"

TOSAIC_CONVOLUTION(TOSAIC_TRANSPOSE_CONV, transpose_conv2d_i8, TOSAIC_TYPES_I8)
