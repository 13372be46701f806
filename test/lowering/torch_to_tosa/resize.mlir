// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// TOSA resizes NHWC images.
// CHECK: func.func @nearest
// CHECK: tosa.transpose {{.*}} -> tensor<1x3x4x2xf32>
// CHECK: tosa.resize {{.*}} {mode = NEAREST_NEIGHBOR} {{.*}} -> tensor<1x6x8x2xf32>
// CHECK: tosa.transpose {{.*}} -> tensor<1x2x6x8xf32>
func.func @nearest(%x: !torch.vtensor<[1,2,3,4],f32>) -> !torch.vtensor<[1,2,6,8],f32> {
  %int6 = torch.constant.int 6
  %int8 = torch.constant.int 8
  %none = torch.constant.none
  %size = torch.prim.ListConstruct %int6, %int8 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.upsample_nearest2d %x, %size, %none, %none : !torch.vtensor<[1,2,3,4],f32>, !torch.list<int>, !torch.none, !torch.none -> !torch.vtensor<[1,2,6,8],f32>
  return %0 : !torch.vtensor<[1,2,6,8],f32>
}
