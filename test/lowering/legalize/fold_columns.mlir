// RUN: tosaic-opt %s --tosaic-fold-columns | filecheck %s --check-prefixes=CHECK,U55
// RUN: tosaic-opt %s --pass-pipeline='builtin.module(tosaic-fold-columns{accelerator=u85})' | filecheck %s --check-prefixes=CHECK,U85

// Two columns are channels: half the width, half the kernel, stride 1 along W.
// CHECK-LABEL: @stride_2
func.func @stride_2(%x: tensor<1x32x32x3xi8>) -> tensor<1x16x16x16xi32> {
  // CHECK: tosa.reshape %arg0, {{.*}} -> tensor<1x32x16x6xi8>
  // CHECK: tosa.conv2d {{.*}} pad = array<i64: 1, 0, 1, 0>, stride = array<i64: 2, 1>{{.*}} tensor<16x3x2x6xi8>
  %w = "tosa.const"() {values = dense<1> : tensor<16x3x3x3xi8>} : () -> tensor<16x3x3x3xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<16xi32>} : () -> tensor<16xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 1, 0, 1, 0>, stride = array<i64: 2, 2>, dilation = array<i64: 1, 1>} : (tensor<1x32x32x3xi8>, tensor<16x3x3x3xi8>, tensor<16xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x16x16x16xi32>
  return %y : tensor<1x16x16x16xi32>
}

// A reshape of an input with other readers is a copy.
// CHECK-LABEL: @shared
// CHECK-NOT: tosa.reshape
func.func @shared(%x: tensor<1x32x32x3xi8>) -> (tensor<1x16x16x16xi32>, tensor<1x32x32x3xi8>) {
  %w = "tosa.const"() {values = dense<1> : tensor<16x3x3x3xi8>} : () -> tensor<16x3x3x3xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<16xi32>} : () -> tensor<16xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 1, 0, 1, 0>, stride = array<i64: 2, 2>, dilation = array<i64: 1, 1>} : (tensor<1x32x32x3xi8>, tensor<16x3x3x3xi8>, tensor<16xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x16x16x16xi32>
  return %y, %x : tensor<1x16x16x16xi32>, tensor<1x32x32x3xi8>
}

// Twice eight channels would be padded to sixteen; an odd width does not divide.
// CHECK-LABEL: @eight_channels
// CHECK-NOT: tosa.reshape
func.func @eight_channels(%x: tensor<1x32x32x8xi8>) -> tensor<1x16x16x16xi32> {
  %w = "tosa.const"() {values = dense<1> : tensor<16x3x3x8xi8>} : () -> tensor<16x3x3x8xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<16xi32>} : () -> tensor<16xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 1, 0, 1, 0>, stride = array<i64: 2, 2>, dilation = array<i64: 1, 1>} : (tensor<1x32x32x8xi8>, tensor<16x3x3x8xi8>, tensor<16xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x16x16x16xi32>
  return %y : tensor<1x16x16x16xi32>
}
// CHECK-LABEL: @odd_width
// CHECK-NOT: tosa.reshape
func.func @odd_width(%x: tensor<1x31x31x3xi8>) -> tensor<1x16x16x16xi32> {
  %w = "tosa.const"() {values = dense<1> : tensor<16x3x3x3xi8>} : () -> tensor<16x3x3x3xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<16xi32>} : () -> tensor<16xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 2, 2>, dilation = array<i64: 1, 1>} : (tensor<1x31x31x3xi8>, tensor<16x3x3x3xi8>, tensor<16xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x16x16x16xi32>
  return %y : tensor<1x16x16x16xi32>
}

// U85 reads the planes of an NCHW argument, and two columns at once where the stride is 1.
// CHECK-LABEL: @nchw
// U55: tosa.transpose
// U85-NOT: tosa.transpose
// U85: tosa.concat {{.*}} -> tensor<1x32x16x6xi8>
// U85: tosa.conv2d {{.*}} -> tensor<1x32x16x32xi32>
// U85: tosa.rescale {{.*}} -> tensor<1x32x16x32xi8>
// U85: tosa.reshape {{.*}} -> tensor<1x32x32x16xi8>
func.func @nchw(%x: tensor<1x3x32x32xi8>) -> tensor<1x32x32x16xi8> {
  %w = "tosa.const"() {values = dense<1> : tensor<16x3x3x3xi8>} : () -> tensor<16x3x3x3xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<16xi32>} : () -> tensor<16xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %zi = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<40> : tensor<1xi8>} : () -> tensor<1xi8>
  %t = tosa.transpose %x {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x3x32x32xi8>) -> tensor<1x32x32x3xi8>
  %y = tosa.conv2d %t, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>} : (tensor<1x32x32x3xi8>, tensor<16x3x3x3xi8>, tensor<16xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x32x32x16xi32>
  %r = tosa.rescale %y, %m, %s, %zi, %z {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x32x32x16xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x32x32x16xi8>
  return %r : tensor<1x32x32x16xi8>
}
