// RUN: tosaic-opt %s --tosaic-maximum-by-columns | filecheck %s

// CHECK-LABEL: @last
// CHECK: tosa.transpose {{.*}} -> tensor<1x1x5x12xi8>
// CHECK: tosa.reduce_max {{.*}} {axis = 2 : i32{{.*}}} : {{.*}} -> tensor<1x1x1x12xi8>
// CHECK: tosa.reshape {{.*}} -> tensor<3x4x1xi8>
func.func @last(%x: tensor<3x4x5xi8>) -> tensor<3x4x1xi8> {
  %0 = tosa.reduce_max %x {axis = 2 : i32} : (tensor<3x4x5xi8>) -> tensor<3x4x1xi8>
  return %0 : tensor<3x4x1xi8>
}

// Another axis, and too few rows to fill the channels, are left.
// CHECK-LABEL: @first
// CHECK-NOT: tosa.transpose
func.func @first(%x: tensor<3x4x5xi8>) -> tensor<1x4x5xi8> {
  %0 = tosa.reduce_max %x {axis = 0 : i32} : (tensor<3x4x5xi8>) -> tensor<1x4x5xi8>
  return %0 : tensor<1x4x5xi8>
}
// CHECK-LABEL: @few
// CHECK-NOT: tosa.transpose
func.func @few(%x: tensor<2x5xi8>) -> tensor<2x1xi8> {
  %0 = tosa.reduce_min %x {axis = 1 : i32} : (tensor<2x5xi8>) -> tensor<2x1xi8>
  return %0 : tensor<2x1xi8>
}
