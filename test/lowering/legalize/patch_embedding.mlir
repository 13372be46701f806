// RUN: tosaic-opt %s --tosaic-split-strided-conv | filecheck %s

// CHECK-LABEL: @patches
func.func @patches(%x: tensor<1x32x32x3xi8>) -> tensor<1x8x8x16xi32> {
  // CHECK: tosa.reshape %arg0, {{.*}} -> tensor<1x8x32x12xi8>
  // CHECK-COUNT-4: tosa.slice {{.*}} -> tensor<1x8x8x12xi8>
  // CHECK: tosa.concat {{.*}} -> tensor<1x8x8x48xi8>
  // CHECK: tosa.conv2d {{.*}} stride = array<i64: 1, 1>{{.*}} tensor<16x1x1x48xi8>
  %w = "tosa.const"() {values = dense<1> : tensor<16x4x4x3xi8>} : () -> tensor<16x4x4x3xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<16xi32>} : () -> tensor<16xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 4, 4>, dilation = array<i64: 1, 1>} : (tensor<1x32x32x3xi8>, tensor<16x4x4x3xi8>, tensor<16xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x16xi32>
  return %y : tensor<1x8x8x16xi32>
}

// int16 likewise: the copies in front of the concat are rescales of 48-bit sums by one.
// CHECK-LABEL: @int16
func.func @int16(%x: tensor<1x32x32x3xi16>) -> tensor<1x8x8x16xi48> {
  // CHECK: tosa.rescale {{.*}}scale32 = false{{.*}} -> tensor<1x8x8x12xi16>
  // CHECK: tosa.concat {{.*}} -> tensor<1x8x8x48xi16>
  // CHECK: tosa.conv2d {{.*}} stride = array<i64: 1, 1>{{.*}} -> tensor<1x8x8x16xi48>
  %w = "tosa.const"() {values = dense<1> : tensor<16x4x4x3xi8>} : () -> tensor<16x4x4x3xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<16xi48>} : () -> tensor<16xi48>
  %zx = "tosa.const"() {values = dense<0> : tensor<1xi16>} : () -> tensor<1xi16>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.conv2d %x, %w, %b, %zx, %z {acc_type = i48, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 4, 4>, dilation = array<i64: 1, 1>} : (tensor<1x32x32x3xi16>, tensor<16x4x4x3xi8>, tensor<16xi48>, tensor<1xi16>, tensor<1xi8>) -> tensor<1x8x8x16xi48>
  return %y : tensor<1x8x8x16xi48>
}

// The planes of an NCHW input are read as they are.
// CHECK-LABEL: @nchw
// CHECK-NOT: tosa.transpose
// CHECK: tosa.concat {{.*}} -> tensor<1x8x8x48xi8>
func.func @nchw(%x: tensor<1x3x32x32xi8>) -> tensor<1x8x8x16xi32> {
  %w = "tosa.const"() {values = dense<1> : tensor<16x4x4x3xi8>} : () -> tensor<16x4x4x3xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<16xi32>} : () -> tensor<16xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %t = tosa.transpose %x {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x3x32x32xi8>) -> tensor<1x32x32x3xi8>
  %y = tosa.conv2d %t, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 4, 4>, dilation = array<i64: 1, 1>} : (tensor<1x32x32x3xi8>, tensor<16x4x4x3xi8>, tensor<16xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x16xi32>
  return %y : tensor<1x8x8x16xi32>
}

// CHECK-LABEL: @stride_3
// CHECK: tosa.conv2d {{.*}} stride = array<i64: 3, 3>
func.func @stride_3(%x: tensor<1x30x30x3xi8>) -> tensor<1x10x10x16xi32> {
  %w = "tosa.const"() {values = dense<1> : tensor<16x3x3x3xi8>} : () -> tensor<16x3x3x3xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<16xi32>} : () -> tensor<16xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 3, 3>, dilation = array<i64: 1, 1>} : (tensor<1x30x30x3xi8>, tensor<16x3x3x3xi8>, tensor<16xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x10x10x16xi32>
  return %y : tensor<1x10x10x16xi32>
}
// Dilated taps are not neighbours.
// CHECK-LABEL: @dilated
// CHECK: tosa.conv2d {{.*}} stride = array<i64: 4, 4>
func.func @dilated(%x: tensor<1x33x33x3xi8>) -> tensor<1x8x8x16xi32> {
  %w = "tosa.const"() {values = dense<1> : tensor<16x3x3x3xi8>} : () -> tensor<16x3x3x3xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<16xi32>} : () -> tensor<16xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 4, 4>, dilation = array<i64: 2, 2>} : (tensor<1x33x33x3xi8>, tensor<16x3x3x3xi8>, tensor<16xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x16xi32>
  return %y : tensor<1x8x8x16xi32>
}
