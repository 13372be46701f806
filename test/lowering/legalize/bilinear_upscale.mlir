// RUN: tosaic-opt %s --tosaic-bilinear-upscale | filecheck %s

// Twice as large, half-pixel centres: four phases of a 3x3 depthwise convolution, then shuffled.
// CHECK-LABEL: func.func @twice
// CHECK-NOT: tosa.resize
// CHECK: tosa.depthwise_conv2d {{.*}} -> tensor<1x4x5x32xi48>
// CHECK: tosa.rescale {{.*}}scale32 = false{{.*}} -> tensor<1x4x5x32xi16>
// CHECK: tosa.transpose
// CHECK: return {{.*}} : tensor<1x8x10x8xi16>
func.func @twice(%arg0: tensor<1x4x5x8xi16>) -> tensor<1x8x10x8xi16> {
  %scale = tosa.const_shape {values = dense<[4, 2, 4, 2]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %offset = tosa.const_shape {values = dense<-1> : tensor<2xindex>} : () -> !tosa.shape<2>
  %border = tosa.const_shape {values = dense<1> : tensor<2xindex>} : () -> !tosa.shape<2>
  %m = "tosa.const"() <{values = dense<16384> : tensor<1xi16>}> : () -> tensor<1xi16>
  %s = "tosa.const"() <{values = dense<18> : tensor<1xi8>}> : () -> tensor<1xi8>
  %z = "tosa.const"() <{values = dense<0> : tensor<1xi48>}> : () -> tensor<1xi48>
  %o = "tosa.const"() <{values = dense<0> : tensor<1xi16>}> : () -> tensor<1xi16>
  %0 = tosa.resize %arg0, %scale, %offset, %border {mode = BILINEAR} : (tensor<1x4x5x8xi16>, !tosa.shape<4>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<1x8x10x8xi48>
  %1 = tosa.rescale %0, %m, %s, %z, %o {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = false} : (tensor<1x8x10x8xi48>, tensor<1xi16>, tensor<1xi8>, tensor<1xi48>, tensor<1xi16>) -> tensor<1x8x10x8xi16>
  return %1 : tensor<1x8x10x8xi16>
}

// int8 has a cheaper form.
// CHECK-LABEL: func.func @int8
// CHECK: tosa.resize
func.func @int8(%arg0: tensor<1x4x5x8xi8>) -> tensor<1x8x10x8xi8> {
  %scale = tosa.const_shape {values = dense<[4, 2, 4, 2]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %offset = tosa.const_shape {values = dense<-1> : tensor<2xindex>} : () -> !tosa.shape<2>
  %border = tosa.const_shape {values = dense<1> : tensor<2xindex>} : () -> !tosa.shape<2>
  %m = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
  %s = "tosa.const"() <{values = dense<34> : tensor<1xi8>}> : () -> tensor<1xi8>
  %z = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %o = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %0 = tosa.resize %arg0, %scale, %offset, %border {mode = BILINEAR} : (tensor<1x4x5x8xi8>, !tosa.shape<4>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<1x8x10x8xi32>
  %1 = tosa.rescale %0, %m, %s, %z, %o {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x8x10x8xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x8x10x8xi8>
  return %1 : tensor<1x8x10x8xi8>
}

// Nearest neighbours are no mean of pixels: left alone.
// CHECK-LABEL: func.func @nearest
// CHECK: tosa.resize
func.func @nearest(%arg0: tensor<1x4x5x8xi8>) -> tensor<1x8x10x8xi8> {
  %scale = tosa.const_shape {values = dense<[2, 1, 2, 1]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %offset = tosa.const_shape {values = dense<0> : tensor<2xindex>} : () -> !tosa.shape<2>
  %border = tosa.const_shape {values = dense<1> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.resize %arg0, %scale, %offset, %border {mode = NEAREST_NEIGHBOR} : (tensor<1x4x5x8xi8>, !tosa.shape<4>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<1x8x10x8xi8>
  return %0 : tensor<1x8x10x8xi8>
}
