// RUN: tosaic-opt %s --verify-diagnostics --tosaic-fold-qdq

!x = !quant.uniform<i8:f32, 1.0e6:0>
!y = !quant.uniform<i8:f32, 1.0e-9:0>

func.func @range(%x: tensor<1x2x3x!x>, %y: tensor<1x3x4x!x>) -> tensor<1x2x4x!y> {
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %0 = quant.dcast %x : tensor<1x2x3x!x> to tensor<1x2x3xf32>
  %1 = quant.dcast %y : tensor<1x3x4x!x> to tensor<1x3x4xf32>
  // expected-error@below {{a rescale by 1e+21 exceeds TOSA's range (below 2**29)}}
  %2 = tosa.matmul %0, %1, %z, %z : (tensor<1x2x3xf32>, tensor<1x3x4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x2x4xf32>
  %3 = quant.qcast %2 : tensor<1x2x4xf32> to tensor<1x2x4x!y>
  return %3 : tensor<1x2x4x!y>
}
