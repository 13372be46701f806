// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-strip-quant-types

!q = !quant.uniform<i8:f32, 0.5:3>

func.func @float_op(%x: tensor<4xi8>) -> tensor<4xi8> {
  %q = quant.scast %x : tensor<4xi8> to tensor<4x!q>
  %0 = quant.dcast %q : tensor<4x!q> to tensor<4xf32>
  // expected-error@below {{tosa.sin would run in float: its inputs and output are not all quantised}}
  %1 = tosa.sin %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.qcast %1 : tensor<4xf32> to tensor<4x!q>
  %3 = quant.scast %2 : tensor<4x!q> to tensor<4xi8>
  return %3 : tensor<4xi8>
}

// -----

!q = !quant.uniform<i8:f32, 0.5:3>

func.func @float_io(%x: tensor<4xf32>) -> tensor<4xi8> {
  // expected-error@below {{the model's input or output would stay in float here; use integer model I/O}}
  %0 = quant.qcast %x : tensor<4xf32> to tensor<4x!q>
  %1 = quant.scast %0 : tensor<4x!q> to tensor<4xi8>
  return %1 : tensor<4xi8>
}
