// RUN: tosaic-opt %s --tosaic-resize-by-weights --split-input-file | filecheck %s

// Three rows to five: the height goes to the channels for a product, then the width.
// CHECK-LABEL: @bilinear
// CHECK: tosa.transpose {{.*}} -> tensor<1x4x2x3xi8>
// CHECK: tosa.conv2d {{.*}} -> tensor<1x4x2x5xi32>
// CHECK: tosa.rescale {{.*}} -> tensor<1x4x2x5xi16>
// CHECK: tosa.conv2d {{.*}} -> tensor<1x5x2x8xi48>
// CHECK-NOT: tosa.resize
func.func @bilinear(%x: tensor<1x3x4x2xi8>) -> tensor<1x5x8x2xi32> {
  %scale = tosa.const_shape {values = dense<[10, 6, 16, 8]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %offset = tosa.const_shape {values = dense<[-2, -4]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %border = tosa.const_shape {values = dense<[2, 4]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.resize %x, %scale, %offset, %border {mode = BILINEAR} : (tensor<1x3x4x2xi8>, !tosa.shape<4>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<1x5x8x2xi32>
  return %0 : tensor<1x5x8x2xi32>
}

// -----

// The nearest by 2 is copied by the device itself.
// CHECK-LABEL: @native
// CHECK: tosa.resize
func.func @native(%x: tensor<1x3x4x2xi8>) -> tensor<1x6x8x2xi8> {
  %scale = tosa.const_shape {values = dense<[4, 2, 4, 2]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %offset = tosa.const_shape {values = dense<[-1, -1]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %border = tosa.const_shape {values = dense<[1, 1]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.resize %x, %scale, %offset, %border {mode = NEAREST_NEIGHBOR} : (tensor<1x3x4x2xi8>, !tosa.shape<4>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<1x6x8x2xi8>
  return %0 : tensor<1x6x8x2xi8>
}

// -----

// The mean of the nearest by 2 is not.
// CHECK-LABEL: @twice
// CHECK-NOT: tosa.resize
// CHECK: tosa.conv2d {{.*}} -> tensor<1x4x2x6xi32>
// CHECK: tosa.conv2d {{.*}} -> tensor<1x6x2x8xi48>
func.func @twice(%x: tensor<1x3x4x2xi8>) -> tensor<1x6x8x2xi32> {
  %scale = tosa.const_shape {values = dense<[4, 2, 4, 2]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %offset = tosa.const_shape {values = dense<[-1, -1]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %border = tosa.const_shape {values = dense<[1, 1]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.resize %x, %scale, %offset, %border {mode = BILINEAR} : (tensor<1x3x4x2xi8>, !tosa.shape<4>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<1x6x8x2xi32>
  return %0 : tensor<1x6x8x2xi32>
}
