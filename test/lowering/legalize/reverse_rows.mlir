// RUN: tosaic-opt %s --tosaic-reverse-rows | filecheck %s

// CHECK-LABEL: @channels
// CHECK: tosa.reshape {{.*}} -> tensor<6x4x1xi8>
// CHECK: tosa.reverse {{.*}} {axis = 1 : i32} : (tensor<6x4x1xi8>)
// CHECK: tosa.reshape {{.*}} -> tensor<1x2x3x4xi8>
func.func @channels(%x: tensor<1x2x3x4xi8>) -> tensor<1x2x3x4xi8> {
  %0 = tosa.reverse %x {axis = 3 : i32} : (tensor<1x2x3x4xi8>) -> tensor<1x2x3x4xi8>
  return %0 : tensor<1x2x3x4xi8>
}

// CHECK-LABEL: @height
// CHECK-NOT: tosa.reshape
func.func @height(%x: tensor<1x2x3x4xi8>) -> tensor<1x2x3x4xi8> {
  %0 = tosa.reverse %x {axis = 1 : i32} : (tensor<1x2x3x4xi8>) -> tensor<1x2x3x4xi8>
  return %0 : tensor<1x2x3x4xi8>
}
