// RUN: tosaic-opt %s --tosaic-fold-flatten | filecheck %s

// The weight's columns (c, w) become (w, c).
// CHECK-LABEL: @classifier
func.func @classifier(%x: tensor<1x1x2x3xi8>) -> tensor<1x1x1x1xi32> {
  // CHECK-NOT: tosa.transpose
  // CHECK: dense<{{.*}}0, 2, 4, 1, 3, 5{{.*}}> : tensor<1x1x1x6xi8>
  // CHECK: tosa.reshape %arg0, {{.*}} -> tensor<1x1x1x6xi8>
  // CHECK: tosa.conv2d
  %w = "tosa.const"() {values = dense<[[[[0, 1, 2, 3, 4, 5]]]]> : tensor<1x1x1x6xi8>} : () -> tensor<1x1x1x6xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %shape = tosa.const_shape {values = dense<[1, 1, 1, 6]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %t = tosa.transpose %x {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x1x2x3xi8>) -> tensor<1x3x1x2xi8>
  %r = tosa.reshape %t, %shape : (tensor<1x3x1x2xi8>, !tosa.shape<4>) -> tensor<1x1x1x6xi8>
  %y = tosa.conv2d %r, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>} : (tensor<1x1x1x6xi8>, tensor<1x1x1x6xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x1x1x1xi32>
  return %y : tensor<1x1x1x1xi32>
}

// A layer on every pixel (K is not all of C, H, W) keeps the transpose, and so does a moved batch.
// CHECK-LABEL: @per_row
// CHECK: tosa.transpose
func.func @per_row(%x: tensor<1x4x2x3xi8>) -> tensor<1x1x12x1xi32> {
  %w = "tosa.const"() {values = dense<[[[[0, 1]]]]> : tensor<1x1x1x2xi8>} : () -> tensor<1x1x1x2xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %shape = tosa.const_shape {values = dense<[1, 1, 12, 2]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %t = tosa.transpose %x {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x4x2x3xi8>) -> tensor<1x3x4x2xi8>
  %r = tosa.reshape %t, %shape : (tensor<1x3x4x2xi8>, !tosa.shape<4>) -> tensor<1x1x12x2xi8>
  %y = tosa.conv2d %r, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>} : (tensor<1x1x12x2xi8>, tensor<1x1x1x2xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x1x12x1xi32>
  return %y : tensor<1x1x12x1xi32>
}
// CHECK-LABEL: @batch
// CHECK: tosa.transpose
func.func @batch(%x: tensor<2x1x3x1xi8>) -> tensor<1x1x3x1xi32> {
  %w = "tosa.const"() {values = dense<[[[[0, 1]]]]> : tensor<1x1x1x2xi8>} : () -> tensor<1x1x1x2xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %shape = tosa.const_shape {values = dense<[1, 1, 3, 2]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %t = tosa.transpose %x {perms = array<i32: 2, 1, 0, 3>} : (tensor<2x1x3x1xi8>) -> tensor<3x1x2x1xi8>
  %r = tosa.reshape %t, %shape : (tensor<3x1x2x1xi8>, !tosa.shape<4>) -> tensor<1x1x3x2xi8>
  %y = tosa.conv2d %r, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>} : (tensor<1x1x3x2xi8>, tensor<1x1x1x2xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x1x3x1xi32>
  return %y : tensor<1x1x3x1xi32>
}
