#include "convolution.h"

TOSAIC_CONVOLUTION(TOSAIC_CONV3D, conv2d_i8, TOSAIC_TYPES_I8)
