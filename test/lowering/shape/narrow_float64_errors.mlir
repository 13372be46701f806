// RUN: tosaic-opt %s --verify-diagnostics --tosaic-narrow-float64

func.func @beyond(%x: tensor<4xf64>) -> tensor<4xf64> {
  // expected-error@below {{constant 1e+300 is beyond the range of f32}}
  %c = "tosa.const"() {values = dense<1.0e300> : tensor<1xf64>} : () -> tensor<1xf64>
  %0 = tosa.add %x, %c : (tensor<4xf64>, tensor<1xf64>) -> tensor<4xf64>
  return %0 : tensor<4xf64>
}
