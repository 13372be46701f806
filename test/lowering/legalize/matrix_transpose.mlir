// RUN: tosaic-opt %s --tosaic-matrix-transpose | filecheck %s
// RUN: tosaic-opt %s --pass-pipeline='builtin.module(tosaic-matrix-transpose{accelerator=u85})' | filecheck %s --check-prefix=U85

// CHECK-LABEL: @to_nhwc
// CHECK: tosa.transpose {{.*}}perms = array<i32: 0, 1, 3, 2>{{.*}} -> tensor<1x1x35x3xi8>
// U85-LABEL: @to_nhwc
// U85: tosa.transpose {{.*}}perms = array<i32: 0, 2, 3, 1>
func.func @to_nhwc(%x: tensor<1x3x5x7xi8>) -> tensor<1x5x7x3xi8> {
  %y = tosa.transpose %x {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x3x5x7xi8>) -> tensor<1x5x7x3xi8>
  return %y : tensor<1x5x7x3xi8>
}

// CHECK-LABEL: @to_nchw
// CHECK: tosa.transpose {{.*}}perms = array<i32: 0, 1, 3, 2>{{.*}} -> tensor<1x1x3x35xi8>
func.func @to_nchw(%x: tensor<1x5x7x3xi8>) -> tensor<1x3x5x7xi8> {
  %y = tosa.transpose %x {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x5x7x3xi8>) -> tensor<1x3x5x7xi8>
  return %y : tensor<1x3x5x7xi8>
}

// Images of a batch are several matrices; other permutations are left too.
// CHECK-LABEL: @batch
// CHECK: perms = array<i32: 0, 2, 3, 1>
func.func @batch(%x: tensor<2x3x5x7xi8>) -> tensor<2x5x7x3xi8> {
  %y = tosa.transpose %x {perms = array<i32: 0, 2, 3, 1>} : (tensor<2x3x5x7xi8>) -> tensor<2x5x7x3xi8>
  return %y : tensor<2x5x7x3xi8>
}
// CHECK-LABEL: @other
// CHECK: perms = array<i32: 0, 2, 1, 3>
func.func @other(%x: tensor<1x3x5x7xi8>) -> tensor<1x5x3x7xi8> {
  %y = tosa.transpose %x {perms = array<i32: 0, 2, 1, 3>} : (tensor<1x3x5x7xi8>) -> tensor<1x5x3x7xi8>
  return %y : tensor<1x5x3x7xi8>
}
