// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// A step is a reshape to [.., count, step, ..] whose first column is kept.
// CHECK: func.func @slice_step
// CHECK: tosa.reshape {{.*}} -> tensor<2x3x2xf32>
// CHECK: tosa.slice {{.*}} -> tensor<2x3x1xf32>
// CHECK: tosa.reshape {{.*}} -> tensor<2x3xf32>
func.func @slice_step(%x: !torch.vtensor<[2,6],f32>) -> !torch.vtensor<[2,3],f32> {
  %none = torch.constant.none
  %int1 = torch.constant.int 1
  %int2 = torch.constant.int 2
  %0 = torch.aten.slice.Tensor %x, %int1, %none, %none, %int2 : !torch.vtensor<[2,6],f32>, !torch.int, !torch.none, !torch.none, !torch.int -> !torch.vtensor<[2,3],f32>
  return %0 : !torch.vtensor<[2,3],f32>
}

// -----

// CHECK: func.func @permute
// CHECK: tosa.transpose %{{.*}} {perms = array<i32: 2, 0, 1>} : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
func.func @permute(%x: !torch.vtensor<[2,3,4],f32>) -> !torch.vtensor<[4,2,3],f32> {
  %int-1 = torch.constant.int -1
  %int0 = torch.constant.int 0
  %int1 = torch.constant.int 1
  %dims = torch.prim.ListConstruct %int-1, %int0, %int1 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.permute %x, %dims : !torch.vtensor<[2,3,4],f32>, !torch.list<int> -> !torch.vtensor<[4,2,3],f32>
  return %0 : !torch.vtensor<[4,2,3],f32>
}

// -----

// CHECK: func.func @stack
// CHECK-COUNT-2: tosa.reshape {{.*}} -> tensor<2x1x3xf32>
// CHECK: tosa.concat {{.*}} {axis = 1 : i32} : {{.*}} -> tensor<2x2x3xf32>
func.func @stack(%x: !torch.vtensor<[2,3],f32>, %y: !torch.vtensor<[2,3],f32>) -> !torch.vtensor<[2,2,3],f32> {
  %int1 = torch.constant.int 1
  %both = torch.prim.ListConstruct %x, %y : (!torch.vtensor<[2,3],f32>, !torch.vtensor<[2,3],f32>) -> !torch.list<vtensor>
  %0 = torch.aten.stack %both, %int1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,2,3],f32>
  return %0 : !torch.vtensor<[2,2,3],f32>
}

// -----

// A negative pad crops.
// CHECK: func.func @pad
// CHECK: tosa.slice {{.*}} -> tensor<2x2xf32>
// CHECK: tosa.pad {{.*}} -> tensor<2x4xf32>
func.func @pad(%x: !torch.vtensor<[2,3],f32>) -> !torch.vtensor<[2,4],f32> {
  %int-1 = torch.constant.int -1
  %int2 = torch.constant.int 2
  %zero = torch.constant.float 0.000000e+00
  %pads = torch.prim.ListConstruct %int-1, %int2 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.constant_pad_nd %x, %pads, %zero : !torch.vtensor<[2,3],f32>, !torch.list<int>, !torch.float -> !torch.vtensor<[2,4],f32>
  return %0 : !torch.vtensor<[2,4],f32>
}

// -----

// PyTorch truncates floats towards zero, TOSA's cast rounds.
// CHECK: func.func @to_int
// CHECK: tosa.ceil
// CHECK: tosa.floor
// CHECK: tosa.cast {{.*}} : (tensor<4xf32>) -> tensor<4xi32>
func.func @to_int(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],si32> {
  %int3 = torch.constant.int 3
  %false = torch.constant.bool false
  %none = torch.constant.none
  %0 = torch.aten.to.dtype %x, %int3, %false, %false, %none : !torch.vtensor<[4],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[4],si32>
  return %0 : !torch.vtensor<[4],si32>
}
