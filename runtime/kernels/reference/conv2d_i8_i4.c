#include "convolution.h"

TOSAIC_CONVOLUTION(TOSAIC_CONV3D, conv2d_i8_i4, TOSAIC_TYPES_I8_I4)
