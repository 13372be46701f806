// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// By a constant: a 1x1 convolution with the rows along W.
// CHECK: func.func @linear
// CHECK: tosa.conv2d {{.*}} : (tensor<1x1x5x4xf32>, tensor<2x1x1x4xf32>, tensor<2xf32>, {{.*}} -> tensor<1x1x5x2xf32>
// CHECK-NOT: tosa.matmul
func.func @linear(%x: !torch.vtensor<[5,4],f32>) -> !torch.vtensor<[5,2],f32> {
  %w = torch.vtensor.literal(dense<1.0> : tensor<2x4xf32>) : !torch.vtensor<[2,4],f32>
  %b = torch.vtensor.literal(dense<1.0> : tensor<2xf32>) : !torch.vtensor<[2],f32>
  %0 = torch.aten.linear %x, %w, %b : !torch.vtensor<[5,4],f32>, !torch.vtensor<[2,4],f32>, !torch.vtensor<[2],f32> -> !torch.vtensor<[5,2],f32>
  return %0 : !torch.vtensor<[5,2],f32>
}

// -----

// A dynamic number of rows is no problem.
// CHECK: func.func @dynamic_rows
// CHECK: tosa.conv2d {{.*}} -> tensor<1x1x?x2xf32>
func.func @dynamic_rows(%x: !torch.vtensor<[?,4],f32>) -> !torch.vtensor<[?,2],f32> {
  %w = torch.vtensor.literal(dense<1.0> : tensor<2x4xf32>) : !torch.vtensor<[2,4],f32>
  %none = torch.constant.none
  %0 = torch.aten.linear %x, %w, %none : !torch.vtensor<[?,4],f32>, !torch.vtensor<[2,4],f32>, !torch.none -> !torch.vtensor<[?,2],f32>
  return %0 : !torch.vtensor<[?,2],f32>
}

// -----

// By an activation: MATMUL, batch dims broadcast and folded into one.
// CHECK: func.func @matmul
// CHECK: tosa.tile
// CHECK: tosa.matmul {{.*}} : (tensor<6x5x4xf32>, tensor<6x4x7xf32>, {{.*}} -> tensor<6x5x7xf32>
// CHECK-NOT: tosa.conv2d
func.func @matmul(%x: !torch.vtensor<[2,3,5,4],f32>, %y: !torch.vtensor<[1,3,4,7],f32>) -> !torch.vtensor<[2,3,5,7],f32> {
  %0 = torch.aten.matmul %x, %y : !torch.vtensor<[2,3,5,4],f32>, !torch.vtensor<[1,3,4,7],f32> -> !torch.vtensor<[2,3,5,7],f32>
  return %0 : !torch.vtensor<[2,3,5,7],f32>
}
