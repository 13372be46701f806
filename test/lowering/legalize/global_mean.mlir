// RUN: tosaic-opt %s --tosaic-lower-global-mean | filecheck %s

// Up to 64 pixels: one step, with the factor AVG_POOL2D uses.
// CHECK-LABEL: @small
func.func @small(%x: tensor<1x7x7x64xi8>) -> tensor<1x1x1x64xi8> {
  // CHECK: tosa.reshape %arg0, {{.*}} -> tensor<1x49x8x8xi8>
  // CHECK: tosa.depthwise_conv2d {{.*}} -> tensor<1x1x8x8xi32>
  // CHECK: tosa.rescale {{.*}} -> tensor<1x1x8x8xi8>
  // CHECK-NOT: tosa.avg_pool2d
  %z = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.avg_pool2d %x, %z, %z {acc_type = i32, kernel = array<i64: 7, 7>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x7x7x64xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x1x1x64xi8>
  return %y : tensor<1x1x1x64xi8>
}

// More: two steps, with exact 16-bit sums between them.
// CHECK-LABEL: @large
func.func @large(%x: tensor<1x14x14x64xi8>) -> tensor<1x1x1x64xi8> {
  // CHECK: tosa.depthwise_conv2d {{.*}} tensor<49x1x8x1xi8>
  // CHECK: tosa.rescale {{.*}} -> tensor<1x1x32x8xi16>
  // CHECK: tosa.depthwise_conv2d {{.*}} -> tensor<1x1x8x8xi48>
  %z = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.avg_pool2d %x, %z, %z {acc_type = i32, kernel = array<i64: 14, 14>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 14, 14>} : (tensor<1x14x14x64xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x1x1x64xi8>
  return %y : tensor<1x1x1x64xi8>
}

// RESCALE(REDUCE_SUM(RESCALE)) is the same sum.
// CHECK-LABEL: @sum
func.func @sum(%x: tensor<1x7x7x64xi8>) -> tensor<1x1x1x64xi8> {
  // CHECK: tosa.depthwise_conv2d
  // CHECK-NOT: tosa.reduce_sum
  %z = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %zi = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %one = "tosa.const"() {values = dense<30> : tensor<1xi8>} : () -> tensor<1xi8>
  %s = "tosa.const"() {values = dense<35> : tensor<1xi8>} : () -> tensor<1xi8>
  %w = tosa.rescale %x, %m, %one, %z, %zi {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x7x7x64xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<1x7x7x64xi32>
  %a = tosa.reduce_sum %w {axis = 1 : i32} : (tensor<1x7x7x64xi32>) -> tensor<1x1x7x64xi32>
  %b = tosa.reduce_sum %a {axis = 2 : i32} : (tensor<1x1x7x64xi32>) -> tensor<1x1x1x64xi32>
  %y = tosa.rescale %b, %m, %s, %zi, %z {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x1x1x64xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x1x1x64xi8>
  return %y : tensor<1x1x1x64xi8>
}

// Padding does not count in AVG_POOL2D; a convolution would count it.
// CHECK-LABEL: @padded
// CHECK: tosa.avg_pool2d
func.func @padded(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8> {
  %z = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.avg_pool2d %x, %z, %z {acc_type = i32, kernel = array<i64: 3, 3>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x8x8x16xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x16xi8>
  return %y : tensor<1x8x8x16xi8>
}

// Strides above 3 are for pools only; 67 rows have no factors that a kernel can have.
// CHECK-LABEL: @long_stride
// CHECK: tosa.avg_pool2d
func.func @long_stride(%x: tensor<1x8x8x16xi8>) -> tensor<1x2x2x16xi8> {
  %z = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.avg_pool2d %x, %z, %z {acc_type = i32, kernel = array<i64: 4, 4>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 4, 4>} : (tensor<1x8x8x16xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x2x2x16xi8>
  return %y : tensor<1x2x2x16xi8>
}
// CHECK-LABEL: @prime
// CHECK: tosa.avg_pool2d
func.func @prime(%x: tensor<1x67x1x16xi8>) -> tensor<1x1x1x16xi8> {
  %z = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.avg_pool2d %x, %z, %z {acc_type = i32, kernel = array<i64: 67, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x67x1x16xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x1x1x16xi8>
  return %y : tensor<1x1x1x16xi8>
}

// What else reads the widened image keeps it; a reshape would be a copy, so columns are summed.
// CHECK-LABEL: @squeeze_excite
// CHECK-NOT: tosa.reshape %arg0
// CHECK: tosa.depthwise_conv2d %arg0, {{.*}} -> tensor<1x1x7x64xi32>
// CHECK-NOT: tosa.reduce_sum
func.func @squeeze_excite(%x: tensor<1x7x7x64xi8>) -> (tensor<1x1x1x64xi8>, tensor<1x7x7x64xi32>) {
  %z = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %zi = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %one = "tosa.const"() {values = dense<30> : tensor<1xi8>} : () -> tensor<1xi8>
  %s = "tosa.const"() {values = dense<35> : tensor<1xi8>} : () -> tensor<1xi8>
  %w = tosa.rescale %x, %m, %one, %z, %zi {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x7x7x64xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<1x7x7x64xi32>
  %a = tosa.reduce_sum %w {axis = 1 : i32} : (tensor<1x7x7x64xi32>) -> tensor<1x1x7x64xi32>
  %b = tosa.reduce_sum %a {axis = 2 : i32} : (tensor<1x1x7x64xi32>) -> tensor<1x1x1x64xi32>
  %y = tosa.rescale %b, %m, %s, %zi, %z {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x1x1x64xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x1x1x64xi8>
  return %y, %w : tensor<1x1x1x64xi8>, tensor<1x7x7x64xi32>
}
