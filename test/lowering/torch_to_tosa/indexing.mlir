// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// Rows are gathered; PyTorch refuses negative indices here, so none is counted from the end.
// CHECK: func.func @index_select
// CHECK: tosa.cast %{{.*}} : (tensor<2xi32>) -> tensor<2xf32>
// CHECK: tosa.reshape {{.*}} -> tensor<1x4x3xf32>
// CHECK: tosa.gather {{.*}} -> tensor<1x2x3xf32>
// CHECK-NOT: tosa.select
func.func @index_select(%x: !torch.vtensor<[4,3],f32>, %i: !torch.vtensor<[2],si32>) -> !torch.vtensor<[2,3],f32> {
  %int0 = torch.constant.int 0
  %0 = torch.aten.index_select %x, %int0, %i : !torch.vtensor<[4,3],f32>, !torch.int, !torch.vtensor<[2],si32> -> !torch.vtensor<[2,3],f32>
  return %0 : !torch.vtensor<[2,3],f32>
}
