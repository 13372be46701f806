// RUN: tosaic-opt %s --tosaic-requantize | filecheck %s

// CHECK-LABEL: @lone
func.func @lone(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8> {
  // CHECK: tosa.depthwise_conv2d %arg0
  // CHECK: tosa.rescale {{.*}} (tensor<1x8x8x16xi32>
  %zx = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %zy = "tosa.const"() {values = dense<-5> : tensor<1xi8>} : () -> tensor<1xi8>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<31> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.rescale %x, %m, %s, %zx, %zy {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x8x8x16xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x16xi8>
  return %y : tensor<1x8x8x16xi8>
}

// A RESCALE on an accumulator joins its convolution; one of unsigned values is not signed weights.
// CHECK-LABEL: @accumulator
// CHECK-NOT: tosa.depthwise_conv2d
func.func @accumulator(%x: tensor<1x8x8x16xi32>) -> tensor<1x8x8x16xi8> {
  %zx = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %zy = "tosa.const"() {values = dense<-5> : tensor<1xi8>} : () -> tensor<1xi8>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<31> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.rescale %x, %m, %s, %zx, %zy {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x8x8x16xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x8x8x16xi8>
  return %y : tensor<1x8x8x16xi8>
}
// CHECK-LABEL: @unsigned
// CHECK-NOT: tosa.depthwise_conv2d
func.func @unsigned(%x: tensor<1x8x8x16xi8>) -> tensor<1x8x8x16xi8> {
  %zx = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<31> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.rescale %x, %m, %s, %zx, %zx {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = true, output_unsigned = false} : (tensor<1x8x8x16xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x16xi8>
  return %y : tensor<1x8x8x16xi8>
}

// A factor per channel becomes a RESCALE per channel on weights of 1, 0 and -1.
// CHECK-LABEL: @product
func.func @product(%x: tensor<1x8x8x3xi8>) -> tensor<1x8x8x3xi8> {
  // CHECK: dense<{{.*1.*0.*-1.*}}> : tensor<1x1x3x1xi8>
  // CHECK: tosa.depthwise_conv2d %arg0
  // CHECK: tosa.rescale {{.*}}per_channel = true
  // CHECK-NOT: tosa.mul
  %zx = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %zi = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %one = "tosa.const"() {values = dense<30> : tensor<1xi8>} : () -> tensor<1xi8>
  %s = "tosa.const"() {values = dense<45> : tensor<1xi8>} : () -> tensor<1xi8>
  %zero = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %c = "tosa.const"() {values = dense<[[[[20000, 0, -30000]]]]> : tensor<1x1x1x3xi32>} : () -> tensor<1x1x1x3xi32>
  %w = tosa.rescale %x, %m, %one, %zx, %zi {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x8x8x3xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<1x8x8x3xi32>
  %p = tosa.mul %w, %c, %zero : (tensor<1x8x8x3xi32>, tensor<1x1x1x3xi32>, tensor<1xi8>) -> tensor<1x8x8x3xi32>
  %y = tosa.rescale %p, %m, %s, %zi, %zx {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x8x8x3xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x8x8x3xi8>
  return %y : tensor<1x8x8x3xi8>
}

// To i16 likewise; one that a TABLE or a MUL reads alone is a part of that operation.
// CHECK-LABEL: @wider
// CHECK: tosa.depthwise_conv2d %arg0
// CHECK: tosa.rescale {{.*}} -> tensor<1x1x8x16xi16>
func.func @wider(%x: tensor<1x1x8x16xi8>) -> tensor<1x1x8x16xi16> {
  %zx = "tosa.const"() {values = dense<3> : tensor<1xi8>} : () -> tensor<1xi8>
  %zy = "tosa.const"() {values = dense<0> : tensor<1xi16>} : () -> tensor<1xi16>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<23> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.rescale %x, %m, %s, %zx, %zy {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x1x8x16xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi16>) -> tensor<1x1x8x16xi16>
  return %y : tensor<1x1x8x16xi16>
}
// CHECK-LABEL: @index
// CHECK-NOT: tosa.depthwise_conv2d
func.func @index(%x: tensor<1x1x8x16xi8>, %table: tensor<513xi16>) -> tensor<1x1x8x16xi32> {
  %zx = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %zy = "tosa.const"() {values = dense<0> : tensor<1xi16>} : () -> tensor<1xi16>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<23> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.rescale %x, %m, %s, %zx, %zy {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x1x8x16xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi16>) -> tensor<1x1x8x16xi16>
  %y = tosa.table %0, %table : (tensor<1x1x8x16xi16>, tensor<513xi16>) -> tensor<1x1x8x16xi32>
  return %y : tensor<1x1x8x16xi32>
}

// One of i16 is a product with 1; one to i32 joins what reads it.
// CHECK-LABEL: @narrower
// CHECK: %[[one:[0-9]+]] = {{.*}}dense<1> : tensor<1x1x1xi16>
// CHECK: %[[wide:[0-9]+]] = tosa.mul %arg0, %[[one]],
// CHECK: tosa.rescale %[[wide]],
func.func @narrower(%x: tensor<4x8x16xi16>) -> tensor<4x8x16xi8> {
  %zx = "tosa.const"() {values = dense<0> : tensor<1xi16>} : () -> tensor<1xi16>
  %zy = "tosa.const"() {values = dense<-3> : tensor<1xi8>} : () -> tensor<1xi8>
  %m = "tosa.const"() {values = dense<1234567890> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<38> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.rescale %x, %m, %s, %zx, %zy {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<4x8x16xi16>, tensor<1xi32>, tensor<1xi8>, tensor<1xi16>, tensor<1xi8>) -> tensor<4x8x16xi8>
  return %y : tensor<4x8x16xi8>
}
// CHECK-LABEL: @widened
// CHECK-NOT: tosa.mul
func.func @widened(%x: tensor<4x8x16xi16>) -> tensor<4x8x16xi32> {
  %zx = "tosa.const"() {values = dense<0> : tensor<1xi16>} : () -> tensor<1xi16>
  %zy = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<29> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.rescale %x, %m, %s, %zx, %zy {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<4x8x16xi16>, tensor<1xi32>, tensor<1xi8>, tensor<1xi16>, tensor<1xi32>) -> tensor<4x8x16xi32>
  return %y : tensor<4x8x16xi32>
}
