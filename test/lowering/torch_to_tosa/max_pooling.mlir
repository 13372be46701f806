// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// The value is a pool's; its place comes from the rows of the window, then from their best.
// CHECK: func.func @with_indices
// CHECK: tosa.max_pool2d
// CHECK: tosa.reduce_max {{.*}} {axis = 4 : i32}
// CHECK: tosa.reduce_min {{.*}} {axis = 4 : i32}
// CHECK: tosa.reduce_max {{.*}} {axis = 3 : i32}
// CHECK: tosa.cast {{.*}} -> tensor<1x2x2x2xi64>
func.func @with_indices(%x: !torch.vtensor<[1,2,4,4],f32>) -> (!torch.vtensor<[1,2,2,2],f32>, !torch.vtensor<[1,2,2,2],si64>) {
  %int0 = torch.constant.int 0
  %int1 = torch.constant.int 1
  %int2 = torch.constant.int 2
  %false = torch.constant.bool false
  %two = torch.prim.ListConstruct %int2, %int2 : (!torch.int, !torch.int) -> !torch.list<int>
  %zero = torch.prim.ListConstruct %int0, %int0 : (!torch.int, !torch.int) -> !torch.list<int>
  %one = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  %0:2 = torch.aten.max_pool2d_with_indices %x, %two, %two, %zero, %one, %false : !torch.vtensor<[1,2,4,4],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.bool -> !torch.vtensor<[1,2,2,2],f32>, !torch.vtensor<[1,2,2,2],si64>
  return %0#0, %0#1 : !torch.vtensor<[1,2,2,2],f32>, !torch.vtensor<[1,2,2,2],si64>
}
