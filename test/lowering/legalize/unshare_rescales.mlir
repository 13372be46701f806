// RUN: tosaic-opt %s --tosaic-unshare-rescales | filecheck %s

// CHECK-LABEL: @two_products
// CHECK: %[[A:.*]] = tosa.rescale %arg0
// CHECK: %[[B:.*]] = tosa.rescale %arg0
// CHECK: tosa.mul %[[B]], %[[B]]
// CHECK: tosa.add %[[A]], %arg1
func.func @two_products(%x: tensor<4xi8>, %y: tensor<4xi32>) -> (tensor<4xi32>, tensor<4xi32>) {
  %z8 = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %z32 = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<30> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.rescale %x, %m, %s, %z8, %z32 {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<4xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<4xi32>
  %1 = tosa.mul %0, %0, %z8 : (tensor<4xi32>, tensor<4xi32>, tensor<1xi8>) -> tensor<4xi32>
  %2 = tosa.add %0, %y : (tensor<4xi32>, tensor<4xi32>) -> tensor<4xi32>
  return %1, %2 : tensor<4xi32>, tensor<4xi32>
}

// A reader that cannot take the rescale in needs the i32 tensor, and then there is one for all.
// CHECK-LABEL: @returned
// CHECK-COUNT-1: tosa.rescale
// CHECK-NOT: tosa.rescale
func.func @returned(%x: tensor<4xi8>, %y: tensor<4xi32>) -> (tensor<4xi32>, tensor<4xi32>) {
  %z8 = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %z32 = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<30> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.rescale %x, %m, %s, %z8, %z32 {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<4xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<4xi32>
  %1 = tosa.add %0, %y : (tensor<4xi32>, tensor<4xi32>) -> tensor<4xi32>
  return %0, %1 : tensor<4xi32>, tensor<4xi32>
}
