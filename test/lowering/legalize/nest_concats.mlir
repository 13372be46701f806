// RUN: tosaic-opt %s --tosaic-nest-concats | filecheck %s

// CHECK-LABEL: @dense
// CHECK: %[[TWO:.*]] = tosa.concat %arg0, %arg1 {axis = 1 : i32}
// CHECK: %[[THREE:.*]] = tosa.concat %[[TWO]], %arg2 {axis = 1 : i32}
// CHECK: %[[FIVE:.*]] = tosa.concat %[[THREE]], %arg0, %arg1 {axis = 1 : i32}
// CHECK: return %[[TWO]], %[[THREE]], %[[FIVE]]
func.func @dense(%a: tensor<2x1xi8>, %b: tensor<2x2xi8>, %c: tensor<2x3xi8>)
    -> (tensor<2x3xi8>, tensor<2x6xi8>, tensor<2x9xi8>) {
  %0 = tosa.concat %a, %b {axis = 1 : i32} : (tensor<2x1xi8>, tensor<2x2xi8>) -> tensor<2x3xi8>
  %1 = tosa.concat %a, %b, %c {axis = 1 : i32} :
    (tensor<2x1xi8>, tensor<2x2xi8>, tensor<2x3xi8>) -> tensor<2x6xi8>
  %2 = tosa.concat %a, %b, %c, %a, %b {axis = 1 : i32} :
    (tensor<2x1xi8>, tensor<2x2xi8>, tensor<2x3xi8>, tensor<2x1xi8>, tensor<2x2xi8>) -> tensor<2x9xi8>
  return %0, %1, %2 : tensor<2x3xi8>, tensor<2x6xi8>, tensor<2x9xi8>
}

// Along another axis, of other tensors, and behind.
// CHECK-LABEL: @apart
// CHECK: tosa.concat %arg0, %arg1, %arg0 {axis = 1 : i32}
// CHECK: tosa.concat %arg0, %arg1 {axis = 0 : i32}
// CHECK: tosa.concat %arg1, %arg0 {axis = 1 : i32}
// CHECK: tosa.concat %arg0, %arg1 {axis = 1 : i32}
func.func @apart(%a: tensor<2x2xi8>, %b: tensor<2x2xi8>)
    -> (tensor<2x6xi8>, tensor<4x2xi8>, tensor<2x4xi8>, tensor<2x4xi8>) {
  %0 = tosa.concat %a, %b, %a {axis = 1 : i32} :
    (tensor<2x2xi8>, tensor<2x2xi8>, tensor<2x2xi8>) -> tensor<2x6xi8>
  %1 = tosa.concat %a, %b {axis = 0 : i32} : (tensor<2x2xi8>, tensor<2x2xi8>) -> tensor<4x2xi8>
  %2 = tosa.concat %b, %a {axis = 1 : i32} : (tensor<2x2xi8>, tensor<2x2xi8>) -> tensor<2x4xi8>
  %3 = tosa.concat %a, %b {axis = 1 : i32} : (tensor<2x2xi8>, tensor<2x2xi8>) -> tensor<2x4xi8>
  return %0, %1, %2, %3 : tensor<2x6xi8>, tensor<4x2xi8>, tensor<2x4xi8>, tensor<2x4xi8>
}
