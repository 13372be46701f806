// RUN: tosaic-opt %s --tosaic-io-layout=layout=nhwc | filecheck %s
// RUN: tosaic-opt %s --tosaic-io-layout | filecheck %s --check-prefix=NCHW

// Rank 4 only; the transposes back are there for tosaic-place-transposes to cancel.
// CHECK: func.func @f(%arg0: tensor<1x4x5x3xf32> {tosaic.layout = "nhwc"}, %arg1: tensor<2x3xf32>) -> (tensor<1x4x5x3xf32> {tosaic.layout = "nhwc"}, tensor<2x3xf32>)
// CHECK: tosa.transpose %arg0 {perms = array<i32: 0, 3, 1, 2>} {{.*}} -> tensor<1x3x4x5xf32>
// CHECK: tosa.abs
// CHECK: tosa.transpose {{.*}} {perms = array<i32: 0, 2, 3, 1>} {{.*}} -> tensor<1x4x5x3xf32>
// NCHW: func.func @f(%arg0: tensor<1x3x4x5xf32>, %arg1: tensor<2x3xf32>) -> (tensor<1x3x4x5xf32>, tensor<2x3xf32>)
// NCHW-NOT: tosa.transpose
func.func @f(%x: tensor<1x3x4x5xf32>, %y: tensor<2x3xf32>) -> (tensor<1x3x4x5xf32>, tensor<2x3xf32>) {
  %0 = tosa.abs %x : (tensor<1x3x4x5xf32>) -> tensor<1x3x4x5xf32>
  return %0, %y : tensor<1x3x4x5xf32>, tensor<2x3xf32>
}
