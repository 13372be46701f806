// RUN: tosaic-opt %s --tosaic-fold-pad | filecheck %s

// Padding with the zero point adds nothing: it becomes the convolution's own.
// CHECK-LABEL: @zero_point
func.func @zero_point(%x: tensor<1x8x8x4xi8>) -> tensor<1x10x9x8xi32> {
  // CHECK-NOT: tosa.pad
  // CHECK: tosa.conv2d %arg0, {{.*}}pad = array<i64: 2, 2, 1, 2>
  %w = "tosa.const"() {values = dense<1> : tensor<8x3x3x4xi8>} : () -> tensor<8x3x3x4xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<8xi32>} : () -> tensor<8xi32>
  %z = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %zw = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %amount = tosa.const_shape {values = dense<[0, 0, 1, 2, 0, 1, 0, 0]> : tensor<8xindex>} : () -> !tosa.shape<8>
  %p = tosa.pad %x, %amount, %z : (tensor<1x8x8x4xi8>, !tosa.shape<8>, tensor<1xi8>) -> tensor<1x11x9x4xi8>
  %y = tosa.conv2d %p, %w, %b, %z, %zw {acc_type = i32, pad = array<i64: 1, 0, 1, 1>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>} : (tensor<1x11x9x4xi8>, tensor<8x3x3x4xi8>, tensor<8xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x10x9x8xi32>
  return %y : tensor<1x10x9x8xi32>
}

// Another value counts, and so does padding of channels.
// CHECK-LABEL: @other_value
// CHECK: tosa.pad
func.func @other_value(%x: tensor<1x8x8x4xi8>) -> tensor<1x8x8x8xi32> {
  %w = "tosa.const"() {values = dense<1> : tensor<8x3x3x4xi8>} : () -> tensor<8x3x3x4xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<8xi32>} : () -> tensor<8xi32>
  %z = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %zw = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %amount = tosa.const_shape {values = dense<[0, 0, 1, 1, 1, 1, 0, 0]> : tensor<8xindex>} : () -> !tosa.shape<8>
  %p = tosa.pad %x, %amount, %zw : (tensor<1x8x8x4xi8>, !tosa.shape<8>, tensor<1xi8>) -> tensor<1x10x10x4xi8>
  %y = tosa.conv2d %p, %w, %b, %z, %zw {acc_type = i32, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>} : (tensor<1x10x10x4xi8>, tensor<8x3x3x4xi8>, tensor<8xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x8xi32>
  return %y : tensor<1x8x8x8xi32>
}
// CHECK-LABEL: @channels
// CHECK: tosa.pad
func.func @channels(%x: tensor<1x8x8x4xf32>) -> tensor<1x6x6x8xf32> {
  %w = "tosa.const"() {values = dense<1.0> : tensor<8x3x3x5xf32>} : () -> tensor<8x3x3x5xf32>
  %b = "tosa.const"() {values = dense<0.0> : tensor<8xf32>} : () -> tensor<8xf32>
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %amount = tosa.const_shape {values = dense<[0, 0, 0, 0, 0, 0, 0, 1]> : tensor<8xindex>} : () -> !tosa.shape<8>
  %p = tosa.pad %x, %amount, %z : (tensor<1x8x8x4xf32>, !tosa.shape<8>, tensor<1xf32>) -> tensor<1x8x8x5xf32>
  %y = tosa.conv2d %p, %w, %b, %z, %z {acc_type = f32, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>} : (tensor<1x8x8x5xf32>, tensor<8x3x3x5xf32>, tensor<8xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x6x6x8xf32>
  return %y : tensor<1x6x6x8xf32>
}

// A max pool skips its padding, which is like padding with the lowest value.
// CHECK-LABEL: @lowest
// CHECK-NOT: tosa.pad
// CHECK: tosa.max_pool2d %arg0 {{.*}}pad = array<i64: 1, 0, 1, 0>
func.func @lowest(%x: tensor<1x8x8x4xi8>) -> tensor<1x8x8x4xi8> {
  %z = "tosa.const"() {values = dense<-128> : tensor<1xi8>} : () -> tensor<1xi8>
  %amount = tosa.const_shape {values = dense<[0, 0, 1, 0, 1, 0, 0, 0]> : tensor<8xindex>} : () -> !tosa.shape<8>
  %p = tosa.pad %x, %amount, %z : (tensor<1x8x8x4xi8>, !tosa.shape<8>, tensor<1xi8>) -> tensor<1x9x9x4xi8>
  %y = tosa.max_pool2d %p {kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x9x9x4xi8>) -> tensor<1x8x8x4xi8>
  return %y : tensor<1x8x8x4xi8>
}
