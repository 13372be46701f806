// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// What no window covers is cut off: TOSA wants windows to end at the border.
// CHECK: func.func @max_pool
// CHECK: tosa.slice {{.*}} -> tensor<1x6x6x3xf32>
// CHECK: tosa.max_pool2d {{.*}} {kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x6x6x3xf32>) -> tensor<1x3x3x3xf32>
func.func @max_pool(%x: !torch.vtensor<[1,3,7,7],f32>) -> !torch.vtensor<[1,3,3,3],f32> {
  %int0 = torch.constant.int 0
  %int1 = torch.constant.int 1
  %int2 = torch.constant.int 2
  %false = torch.constant.bool false
  %two = torch.prim.ListConstruct %int2, %int2 : (!torch.int, !torch.int) -> !torch.list<int>
  %zero = torch.prim.ListConstruct %int0, %int0 : (!torch.int, !torch.int) -> !torch.list<int>
  %one = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.max_pool2d %x, %two, %two, %zero, %one, %false : !torch.vtensor<[1,3,7,7],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.bool -> !torch.vtensor<[1,3,3,3],f32>
  return %0 : !torch.vtensor<[1,3,3,3],f32>
}

// -----

// Padding that counts is made of real zeros.
// CHECK: func.func @count_padding
// CHECK: tosa.pad
// CHECK: tosa.avg_pool2d {{.*}} pad = array<i64: 0, 0, 0, 0>
func.func @count_padding(%x: !torch.vtensor<[1,3,4,4],f32>) -> !torch.vtensor<[1,3,4,4],f32> {
  %int1 = torch.constant.int 1
  %int3 = torch.constant.int 3
  %true = torch.constant.bool true
  %false = torch.constant.bool false
  %none = torch.constant.none
  %kernel = torch.prim.ListConstruct %int3, %int3 : (!torch.int, !torch.int) -> !torch.list<int>
  %one = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.avg_pool2d %x, %kernel, %one, %one, %false, %true, %none : !torch.vtensor<[1,3,4,4],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,3,4,4],f32>
  return %0 : !torch.vtensor<[1,3,4,4],f32>
}

// -----

// Global: one window.
// CHECK: func.func @global
// CHECK: tosa.avg_pool2d {{.*}} kernel = array<i64: 4, 5>, {{.*}} -> tensor<1x1x1x3xf32>
func.func @global(%x: !torch.vtensor<[1,3,4,5],f32>) -> !torch.vtensor<[1,3,1,1],f32> {
  %int1 = torch.constant.int 1
  %one = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.adaptive_avg_pool2d %x, %one : !torch.vtensor<[1,3,4,5],f32>, !torch.list<int> -> !torch.vtensor<[1,3,1,1],f32>
  return %0 : !torch.vtensor<[1,3,1,1],f32>
}
