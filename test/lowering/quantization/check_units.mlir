// What was planned in integers and is: the plan is dropped. What was planned by nobody is not checked.
// RUN: tosaic-opt %s --tosaic-check-units | filecheck %s

// CHECK-LABEL: func.func @planned
// CHECK-NOT: tosaic.units
func.func @planned(%x: tensor<2x3xi8>) -> tensor<2x3xi8> attributes {tosaic.units = {relu = "conv2d"}} {
  // CHECK: tosa.clamp
  %y = tosa.clamp %x {max_val = 127 : i8, min_val = 0 : i8} : (tensor<2x3xi8>) -> tensor<2x3xi8> loc("relu")
  return %y : tensor<2x3xi8>
}

// CHECK-LABEL: func.func @other_ops_in_float
func.func @other_ops_in_float(%x: tensor<2x3xf32>) -> tensor<2x3xf32> attributes {tosaic.units = {relu = "relu"}} {
  %y = tosa.tanh %x : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("tanh")
  return %y : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @not_planned
func.func @not_planned(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %y = tosa.tanh %x : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("tanh")
  return %y : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @casts
// A cast at the place of a unit is no computation.
func.func @casts(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2xf32> attributes {tosaic.units = {relu = "relu"}} {
  %y = quant.dcast %x : tensor<2x!quant.uniform<i8:f32, 0.5>> to tensor<2xf32> loc("relu")
  return %y : tensor<2xf32>
}
