// RUN: tosaic-opt %s --split-input-file --tosaic-lower-quant-casts | filecheck %s

!q = !quant.uniform<i8:f32, 0.5:3>

// clamp(round(x / 0.5) + 3, -128, 127)
// CHECK: func.func @quantise
// CHECK: values = dense<2.000000e+00>
// CHECK: tosa.mul %arg0
// CHECK: tosa.cast {{.*}} -> tensor<4xi32>
// CHECK: tosa.add
// CHECK: tosa.clamp {{.*}} {max_val = 1.270000e+02 : f32, min_val = -1.280000e+02 : f32}
// CHECK: tosa.cast {{.*}} -> tensor<4xi8>
// CHECK-NOT: quant.qcast
func.func @quantise(%x: tensor<4xf32>) -> tensor<4x!q> {
  %0 = quant.qcast %x : tensor<4xf32> to tensor<4x!q>
  return %0 : tensor<4x!q>
}

// -----

!w = !quant.uniform<i8:f32:0, {0.5, 0.25}>

// Scales per channel broadcast along their axis; a zero point of zero costs nothing.
// CHECK: func.func @dequantise
// CHECK: {{\[\[}}5.000000e-01], [2.500000e-01]]> : tensor<2x1xf32>
// CHECK: tosa.cast {{.*}} -> tensor<2x3xf32>
// CHECK-NOT: tosa.sub
// CHECK: tosa.mul
// CHECK-NOT: quant.dcast
func.func @dequantise(%x: tensor<2x3x!w>) -> tensor<2x3xf32> {
  %0 = quant.dcast %x : tensor<2x3x!w> to tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}
