// RUN: tosaic-opt %s --verify-diagnostics --tosaic-propagate-casts

!q = !quant.uniform<i8:f32, 1.0e6>
!r = !quant.uniform<i8:f32, 1.0e-9>

func.func @range(%x: tensor<4x!q>) -> tensor<4x!r> {
  %0 = quant.dcast %x : tensor<4x!q> to tensor<4xf32>
  // expected-error@below {{a rescale by 1e+15 exceeds TOSA's range (below 2**29)}}
  %1 = quant.qcast %0 : tensor<4xf32> to tensor<4x!r>
  return %1 : tensor<4x!r>
}
