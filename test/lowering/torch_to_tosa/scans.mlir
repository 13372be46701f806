// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// Sums of 1, 2, 4 … elements: each step adds the row shifted by as many.
// CHECK: func.func @cumsum
// CHECK: tosa.slice {{.*}} -> tensor<2x3xf32>
// CHECK: tosa.pad {{.*}} -> tensor<2x4xf32>
// CHECK: tosa.add
// CHECK: tosa.slice {{.*}} -> tensor<2x2xf32>
// CHECK: tosa.pad {{.*}} -> tensor<2x4xf32>
// CHECK: tosa.add
func.func @cumsum(%x: !torch.vtensor<[2,4],f32>) -> !torch.vtensor<[2,4],f32> {
  %int1 = torch.constant.int 1
  %none = torch.constant.none
  %0 = torch.aten.cumsum %x, %int1, %none : !torch.vtensor<[2,4],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>
  return %0 : !torch.vtensor<[2,4],f32>
}
