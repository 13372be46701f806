// RUN: tosaic-opt %s --tosaic-narrow-float64 | filecheck %s

// CHECK: func.func @all(%arg0: tensor<4xf32> {tosaic.narrowed = "f64"}, %arg1: tensor<4xi32>) -> (tensor<4xf32> {tosaic.narrowed = "f64"})
// CHECK: values = dense<1.000000e-01> : tensor<1xf32>
// CHECK-NOT: f64>
func.func @all(%x: tensor<4xf64>, %i: tensor<4xi32>) -> tensor<4xf64> {
  %c = "tosa.const"() {values = dense<0.1> : tensor<1xf64>} : () -> tensor<1xf64>
  %0 = tosa.add %x, %c : (tensor<4xf64>, tensor<1xf64>) -> tensor<4xf64>
  return %0 : tensor<4xf64>
}
