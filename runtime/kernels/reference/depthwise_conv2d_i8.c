#include "convolution.h"

TOSAIC_CONVOLUTION(TOSAIC_DEPTHWISE, depthwise_conv2d_i8, TOSAIC_TYPES_I8)
