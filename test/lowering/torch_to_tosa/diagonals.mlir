// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// The mask is a constant.
// CHECK: func.func @tril
// CHECK: dense<{{.*true, false, false.*true, true, false.*true, true, true.*}}>
// CHECK: tosa.select
func.func @tril(%x: !torch.vtensor<[3,3],f32>) -> !torch.vtensor<[3,3],f32> {
  %int0 = torch.constant.int 0
  %0 = torch.aten.tril %x, %int0 : !torch.vtensor<[3,3],f32>, !torch.int -> !torch.vtensor<[3,3],f32>
  return %0 : !torch.vtensor<[3,3],f32>
}

// -----

// Rows of one more element have the diagonal as a column.
// CHECK: func.func @diagonal
// CHECK: tosa.pad {{.*}} -> tensor<1x15xf32>
// CHECK: tosa.reshape {{.*}} -> tensor<1x3x5x1xf32>
// CHECK: tosa.slice {{.*}} -> tensor<1x3x1x1xf32>
func.func @diagonal(%x: !torch.vtensor<[3,4],f32>) -> !torch.vtensor<[3],f32> {
  %int0 = torch.constant.int 0
  %int1 = torch.constant.int 1
  %0 = torch.aten.diagonal %x, %int0, %int0, %int1 : !torch.vtensor<[3,4],f32>, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[3],f32>
  return %0 : !torch.vtensor<[3],f32>
}
