// RUN: tosaic-opt %s --tosaic-sum-by-matmul | filecheck %s

// A global mean: one product of [1, H*W] with [H*W, C], and no int32 of the input's size.
// CHECK-LABEL: @mean
func.func @mean(%x: tensor<1x5x4x8xi8>) -> tensor<1x1x1x8xi32> {
  // CHECK: %[[ONES:.*]] = "tosa.const"() <{values = dense<1> : tensor<1x1x20xi8>}>
  // CHECK: %[[ROWS:.*]] = tosa.reshape %arg0, {{.*}} -> tensor<1x20x8xi8>
  // CHECK: %[[SUM:.*]] = tosa.matmul %[[ONES]], %[[ROWS]], {{.*}} -> tensor<1x1x8xi32>
  // CHECK: %[[OUT:.*]] = tosa.reshape %[[SUM]], {{.*}} -> tensor<1x1x1x8xi32>
  // CHECK: return %[[OUT]]
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<30> : tensor<1xi8>} : () -> tensor<1xi8>
  %z = "tosa.const"() {values = dense<-3> : tensor<1xi8>} : () -> tensor<1xi8>
  %o = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %0 = tosa.rescale %x, %m, %s, %z, %o {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x5x4x8xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<1x5x4x8xi32>
  %1 = tosa.reduce_sum %0 {axis = 1 : i32} : (tensor<1x5x4x8xi32>) -> tensor<1x1x4x8xi32>
  %2 = tosa.reduce_sum %1 {axis = 2 : i32} : (tensor<1x1x4x8xi32>) -> tensor<1x1x1x8xi32>
  return %2 : tensor<1x1x1x8xi32>
}

// The widened input is read by others too, so that it exists anyway.
// CHECK-LABEL: @read_twice
func.func @read_twice(%x: tensor<2x8xi8>) -> (tensor<2x1xi32>, tensor<2x8xi32>) {
  // CHECK: tosa.reduce_sum
  // CHECK-NOT: tosa.matmul
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<30> : tensor<1xi8>} : () -> tensor<1xi8>
  %z = "tosa.const"() {values = dense<-3> : tensor<1xi8>} : () -> tensor<1xi8>
  %o = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %0 = tosa.rescale %x, %m, %s, %z, %o {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<2x8xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<2x8xi32>
  %1 = tosa.reduce_sum %0 {axis = 1 : i32} : (tensor<2x8xi32>) -> tensor<2x1xi32>
  return %1, %0 : tensor<2x1xi32>, tensor<2x8xi32>
}

// Axes with another between them are not one dimension.
// CHECK-LABEL: @apart
func.func @apart(%x: tensor<2x3x8xi8>) -> tensor<1x3x1xi32> {
  // CHECK-NOT: tosa.matmul
  // CHECK: return
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<30> : tensor<1xi8>} : () -> tensor<1xi8>
  %z = "tosa.const"() {values = dense<-3> : tensor<1xi8>} : () -> tensor<1xi8>
  %o = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %0 = tosa.rescale %x, %m, %s, %z, %o {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<2x3x8xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<2x3x8xi32>
  %1 = tosa.reduce_sum %0 {axis = 0 : i32} : (tensor<2x3x8xi32>) -> tensor<1x3x8xi32>
  %2 = tosa.reduce_sum %1 {axis = 2 : i32} : (tensor<1x3x8xi32>) -> tensor<1x3x1xi32>
  return %2 : tensor<1x3x1xi32>
}
