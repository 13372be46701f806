// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// The mean over H and W is one average pool.
// CHECK: func.func @spatial_mean
// CHECK: tosa.avg_pool2d {{.*}} kernel = array<i64: 4, 5>
// CHECK-NOT: tosa.reduce_sum
func.func @spatial_mean(%x: !torch.vtensor<[1,3,4,5],f32>) -> !torch.vtensor<[1,3],f32> {
  %int2 = torch.constant.int 2
  %int3 = torch.constant.int 3
  %false = torch.constant.bool false
  %none = torch.constant.none
  %dims = torch.prim.ListConstruct %int2, %int3 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.mean.dim %x, %dims, %false, %none : !torch.vtensor<[1,3,4,5],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[1,3],f32>
  return %0 : !torch.vtensor<[1,3],f32>
}

// -----

// Another mean is a sum and a factor.
// CHECK: func.func @mean
// CHECK: tosa.reduce_sum {{.*}} {axis = 1 : i32}
// CHECK: tosa.mul
func.func @mean(%x: !torch.vtensor<[2,4],f32>) -> !torch.vtensor<[2,1],f32> {
  %int1 = torch.constant.int 1
  %true = torch.constant.bool true
  %none = torch.constant.none
  %dims = torch.prim.ListConstruct %int1 : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.mean.dim %x, %dims, %true, %none : !torch.vtensor<[2,4],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,1],f32>
  return %0 : !torch.vtensor<[2,1],f32>
}
