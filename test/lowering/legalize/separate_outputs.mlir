// RUN: tosaic-opt %s --tosaic-separate-outputs | filecheck %s

// CHECK-LABEL: func.func @main
// CHECK: %[[E:.*]] = tosa.exp %arg0
// CHECK: %[[X:.*]] = tosa.identity %arg0
// CHECK: %[[AGAIN:.*]] = tosa.identity %[[E]]
// CHECK: return %[[E]], %[[X]], %[[AGAIN]]
func.func @main(%arg0: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = tosa.exp %arg0 : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %arg0, %0 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// A program whose results are written by ops of their own stays as it is.
// CHECK-LABEL: func.func @distinct
// CHECK-NOT: tosa.identity
func.func @distinct(%arg0: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = tosa.exp %arg0 : (tensor<4xf32>) -> tensor<4xf32>
  %1 = tosa.log %arg0 : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}

// A constant has no writer either.
// CHECK-LABEL: func.func @constant
// CHECK: %[[C:.*]] = "tosa.const"()
// CHECK: %[[R:.*]] = tosa.identity %[[C]]
// CHECK: return %[[R]]
func.func @constant() -> tensor<2xf32> {
  %0 = "tosa.const"() <{values = dense<1.0> : tensor<2xf32>}> : () -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
