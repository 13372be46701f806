// RUN: tosaic-opt %s --split-input-file --tosaic-pack-int4 | filecheck %s

// Weights from -7 to 7 fit in four bits; their zero point has their type.
// CHECK: func.func @narrow
// CHECK-DAG: dense<{{\[\[\[\[}}7, -7]]]]> : tensor<1x1x1x2xi4>
// CHECK-DAG: dense<0> : tensor<1xi4>
// CHECK: tosa.conv2d {{.*}}(tensor<1x4x4x2xi8>, tensor<1x1x1x2xi4>, tensor<1xi32>, tensor<1xi8>, tensor<1xi4>) -> tensor<1x4x4x1xi32>
func.func @narrow(%x: tensor<1x4x4x2xi8>) -> tensor<1x4x4x1xi32> {
  %w = "tosa.const"() {values = dense<[[[[7, -7]]]]> : tensor<1x1x1x2xi8>} : () -> tensor<1x1x1x2xi8>
  %b = "tosa.const"() {values = dense<1> : tensor<1xi32>} : () -> tensor<1xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x4x4x2xi8>, tensor<1x1x1x2xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4x4x1xi32>
  return %0 : tensor<1x4x4x1xi32>
}

// -----

// TOSA's i4 has no -8.
// CHECK: func.func @too_wide
// CHECK-NOT: xi4>
func.func @too_wide(%x: tensor<1x4x4x2xi8>) -> tensor<1x4x4x1xi32> {
  %w = "tosa.const"() {values = dense<[[[[7, -8]]]]> : tensor<1x1x1x2xi8>} : () -> tensor<1x1x1x2xi8>
  %b = "tosa.const"() {values = dense<1> : tensor<1xi32>} : () -> tensor<1xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x4x4x2xi8>, tensor<1x1x1x2xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4x4x1xi32>
  return %0 : tensor<1x4x4x1xi32>
}

// -----

// There is no convolution of i16 with i4.
// CHECK: func.func @int16
// CHECK-NOT: xi4>
func.func @int16(%x: tensor<1x4x4x2xi16>) -> tensor<1x4x4x1xi48> {
  %w = "tosa.const"() {values = dense<1> : tensor<1x1x1x2xi8>} : () -> tensor<1x1x1x2xi8>
  %b = "tosa.const"() {values = dense<1> : tensor<1xi48>} : () -> tensor<1xi48>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi16>} : () -> tensor<1xi16>
  %zw = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.conv2d %x, %w, %b, %z, %zw {acc_type = i48, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x4x4x2xi16>, tensor<1x1x1x2xi8>, tensor<1xi48>, tensor<1xi16>, tensor<1xi8>) -> tensor<1x4x4x1xi48>
  return %0 : tensor<1x4x4x1xi48>
}

// -----

// A sum by weights of one needs no more than i8 has, and the target no extension.
// CHECK: func.func @ones
// CHECK-NOT: xi4>
func.func @ones(%x: tensor<1x4x4x2xi8>) -> tensor<1x4x4x1xi32> {
  %w = "tosa.const"() {values = dense<1> : tensor<1x1x1x2xi8>} : () -> tensor<1x1x1x2xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x4x4x2xi8>, tensor<1x1x1x2xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4x4x1xi32>
  return %0 : tensor<1x4x4x1xi32>
}
