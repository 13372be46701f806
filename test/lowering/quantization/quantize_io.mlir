// RUN: tosaic-opt %s --split-input-file --tosaic-quantize-io | filecheck %s

!q = !quant.uniform<i8:f32, 0.5:3>

// The casts at the boundary become the caller's; the attribute tells how.
// CHECK: func.func @both(%arg0: tensor<4x!quant.uniform<i8:f32, 5.000000e-01:3>> {tosaic.qtype = !quant.uniform<i8:f32, 5.000000e-01:3>})
// CHECK-SAME: -> (tensor<4x!quant.uniform<i8:f32, 5.000000e-01:3>> {tosaic.qtype = !quant.uniform<i8:f32, 5.000000e-01:3>})
// CHECK-NOT: quant.qcast
// CHECK: tosa.identity %arg0
// CHECK: return %{{.*}} : tensor<4x!quant
func.func @both(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.qcast %x : tensor<4xf32> to tensor<4x!q>
  %1 = tosa.identity %0 : (tensor<4x!q>) -> tensor<4x!q>
  %2 = quant.dcast %1 : tensor<4x!q> to tensor<4xf32>
  return %2 : tensor<4xf32>
}

// -----

!q = !quant.uniform<i8:f32, 0.5:3>

// An argument that is read in float too stays float.
// CHECK: func.func @mixed(%arg0: tensor<4xf32>) -> (tensor<4x!quant{{.*}}>, tensor<4xf32>)
// CHECK: quant.qcast %arg0
func.func @mixed(%x: tensor<4xf32>) -> (tensor<4x!q>, tensor<4xf32>) {
  %0 = quant.qcast %x : tensor<4xf32> to tensor<4x!q>
  %1 = tosa.abs %x : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1 : tensor<4x!q>, tensor<4xf32>
}
