#include "convolution.h"

TOSAIC_CONVOLUTION(TOSAIC_DEPTHWISE, depthwise_conv2d_i16, TOSAIC_TYPES_I16)
