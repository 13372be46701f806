// RUN: tosaic-opt %s --tosaic-split-strided-depthwise | filecheck %s

// An average pool of 4x4 is computed at every second pixel, of which every second one is kept.
// CHECK-LABEL: @average_pool
// CHECK: %[[SUM:.*]] = tosa.depthwise_conv2d %arg0, {{.*}} stride = array<i64: 2, 2>} : {{.*}} -> tensor<1x7x7x3xi32>
// CHECK: %[[MEAN:.*]] = tosa.rescale %[[SUM]], {{.*}} -> tensor<1x7x7x3xi8>
// CHECK: tosa.max_pool2d %[[MEAN]] {kernel = array<i64: 1, 1>, {{.*}}stride = array<i64: 2, 2>} : (tensor<1x7x7x3xi8>) -> tensor<1x4x4x3xi8>
func.func @average_pool(%x: tensor<1x16x16x3xi8>) -> tensor<1x4x4x3xi8> {
  %w = "tosa.const"() {values = dense<1> : tensor<4x4x3x1xi8>} : () -> tensor<4x4x3x1xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<3xi32>} : () -> tensor<3xi32>
  %zx = "tosa.const"() {values = dense<5> : tensor<1xi8>} : () -> tensor<1xi8>
  %zw = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<34> : tensor<1xi8>} : () -> tensor<1xi8>
  %zi = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %0 = tosa.depthwise_conv2d %x, %w, %b, %zx, %zw {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 4, 4>} : (tensor<1x16x16x3xi8>, tensor<4x4x3x1xi8>, tensor<3xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4x4x3xi32>
  %1 = tosa.rescale %0, %m, %s, %zi, %zx {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x4x4x3xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x4x4x3xi8>
  return %1 : tensor<1x4x4x3xi8>
}

// A stride of 5 has no divisor but 1; a stride of 3 is one that the device has.
// CHECK-LABEL: @uneven
// CHECK: tosa.depthwise_conv2d {{.*}} stride = array<i64: 1, 3>} : {{.*}} -> tensor<1x11x2x3xi32>
// CHECK: tosa.max_pool2d {{.*}} stride = array<i64: 5, 1>} : {{.*}} -> tensor<1x3x2x3xi8>
func.func @uneven(%x: tensor<1x12x5x3xi8>) -> tensor<1x3x2x3xi8> {
  %w = "tosa.const"() {values = dense<1> : tensor<2x2x3x1xi8>} : () -> tensor<2x2x3x1xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<3xi32>} : () -> tensor<3xi32>
  %zx = "tosa.const"() {values = dense<5> : tensor<1xi8>} : () -> tensor<1xi8>
  %zw = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<32> : tensor<1xi8>} : () -> tensor<1xi8>
  %zi = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %0 = tosa.depthwise_conv2d %x, %w, %b, %zx, %zw {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 5, 3>} : (tensor<1x12x5x3xi8>, tensor<2x2x3x1xi8>, tensor<3xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x3x2x3xi32>
  %1 = tosa.rescale %0, %m, %s, %zi, %zx {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x3x2x3xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x3x2x3xi8>
  return %1 : tensor<1x3x2x3xi8>
}
