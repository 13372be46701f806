// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// CHECK: func.func @relu6
// CHECK: tosa.clamp %{{.*}} {max_val = 6.000000e+00 : f32, min_val = 0.000000e+00 : f32}
func.func @relu6(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %0 = torch.aten.relu6 %x : !torch.vtensor<[4],f32> -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}

// -----

// No upper limit is infinity, so that infinity stays.
// CHECK: func.func @relu
// CHECK: max_val = 0x7F800000 : f32
func.func @relu(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %0 = torch.aten.relu %x : !torch.vtensor<[4],f32> -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}

// -----

// TOSA's CLAMP takes no i32: a maximum and a minimum do.
// CHECK-LABEL: func.func @clamp_i32
// CHECK: tosa.maximum
// CHECK: tosa.minimum
// CHECK-NOT: tosa.clamp
func.func @clamp_i32(%arg0: !torch.vtensor<[4],si32>) -> !torch.vtensor<[4],si32> {
  %low = torch.constant.int -2
  %high = torch.constant.int 5
  %0 = torch.aten.clamp %arg0, %low, %high : !torch.vtensor<[4],si32>, !torch.int, !torch.int -> !torch.vtensor<[4],si32>
  return %0 : !torch.vtensor<[4],si32>
}

// -----

// TOSA's CLAMP takes no i32.
// CHECK: func.func @clamp_min
// CHECK: tosa.maximum
// CHECK-NOT: tosa.clamp
func.func @clamp_min(%x: !torch.vtensor<[4],si32>) -> !torch.vtensor<[4],si32> {
  %int3 = torch.constant.int 3
  %0 = torch.aten.clamp_min %x, %int3 : !torch.vtensor<[4],si32>, !torch.int -> !torch.vtensor<[4],si32>
  return %0 : !torch.vtensor<[4],si32>
}
