// RUN: tosaic-opt %s --split-input-file --tosaic-fold-batch-norm | filecheck %s

// conv(x, w, b) * g + h is conv(x, w*g, b*g + h): w = 3*2, b = 1*2 + 5.
// CHECK: func.func @fold
// CHECK-NOT: tosa.depthwise_conv2d
// CHECK: %[[W:.*]] = "tosa.const"() <{values = dense<6.000000e+00> : tensor<2x1x1x4xf32>}>
// CHECK: %[[B:.*]] = "tosa.const"() <{values = dense<7.000000e+00> : tensor<2xf32>}>
// CHECK: tosa.conv2d %arg0, %[[W]], %[[B]]
// CHECK-NOT: tosa.depthwise_conv2d
func.func @fold(%x: tensor<1x5x5x4xf32>) -> tensor<1x5x5x2xf32> {
  %w = "tosa.const"() {values = dense<3.0> : tensor<2x1x1x4xf32>} : () -> tensor<2x1x1x4xf32>
  %b = "tosa.const"() {values = dense<1.0> : tensor<2xf32>} : () -> tensor<2xf32>
  %g = "tosa.const"() {values = dense<2.0> : tensor<1x1x2x1xf32>} : () -> tensor<1x1x2x1xf32>
  %h = "tosa.const"() {values = dense<5.0> : tensor<2xf32>} : () -> tensor<2xf32>
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %0 = tosa.conv2d %x, %w, %b, %z, %z {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x5x5x4xf32>, tensor<2x1x1x4xf32>, tensor<2xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x5x5x2xf32>
  %1 = tosa.depthwise_conv2d %0, %g, %h, %z, %z {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x5x5x2xf32>, tensor<1x1x2x1xf32>, tensor<2xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x5x5x2xf32>
  return %1 : tensor<1x5x5x2xf32>
}

// -----

// Quantised weights keep their integers: the factor goes into the scales, -2 flips a sign too.
// CHECK: func.func @quantised
// CHECK: values = dense<{{\[\[\[\[}}6]]], {{\[\[\[}}-6]]]]> : tensor<2x1x1x1xi8>
// CHECK: !quant.uniform<i8<-127:127>:f32:0, {1.000000e+00,1.000000e+00}>
// CHECK: tosa.conv2d
// CHECK-NOT: tosa.depthwise_conv2d
func.func @quantised(%x: tensor<1x5x5x1xf32>) -> tensor<1x5x5x2xf32> {
  %q = "tosa.const"() {values = dense<6> : tensor<2x1x1x1xi8>} : () -> tensor<2x1x1x1x!quant.uniform<i8<-127:127>:f32:0, {0.5, 0.5}>>
  %w = quant.dcast %q : tensor<2x1x1x1x!quant.uniform<i8<-127:127>:f32:0, {0.5, 0.5}>> to tensor<2x1x1x1xf32>
  %b = "tosa.const"() {values = dense<1.0> : tensor<2xf32>} : () -> tensor<2xf32>
  %g = "tosa.const"() {values = dense<[[[[2.0], [-2.0]]]]> : tensor<1x1x2x1xf32>} : () -> tensor<1x1x2x1xf32>
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %0 = tosa.conv2d %x, %w, %b, %z, %z {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x5x5x1xf32>, tensor<2x1x1x1xf32>, tensor<2xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x5x5x2xf32>
  %1 = tosa.depthwise_conv2d %0, %g, %b, %z, %z {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x5x5x2xf32>, tensor<1x1x2x1xf32>, tensor<2xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x5x5x2xf32>
  return %1 : tensor<1x5x5x2xf32>
}

// -----

// Not where the convolution is read elsewhere too.
// CHECK: func.func @shared
// CHECK: tosa.conv2d
// CHECK: tosa.depthwise_conv2d
func.func @shared(%x: tensor<1x5x5x4xf32>, %w: tensor<2x1x1x4xf32>) -> (tensor<1x5x5x2xf32>, tensor<1x5x5x2xf32>) {
  %b = "tosa.const"() {values = dense<1.0> : tensor<2xf32>} : () -> tensor<2xf32>
  %g = "tosa.const"() {values = dense<2.0> : tensor<1x1x2x1xf32>} : () -> tensor<1x1x2x1xf32>
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %0 = tosa.conv2d %x, %w, %b, %z, %z {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x5x5x4xf32>, tensor<2x1x1x4xf32>, tensor<2xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x5x5x2xf32>
  %1 = tosa.depthwise_conv2d %0, %g, %b, %z, %z {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x5x5x2xf32>, tensor<1x1x2x1xf32>, tensor<2xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x5x5x2xf32>
  return %0, %1 : tensor<1x5x5x2xf32>, tensor<1x5x5x2xf32>
}
