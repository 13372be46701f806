// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// Small integers are divided in i32.
// CHECK: func.func @floor_divide
// CHECK: tosa.cast {{.*}} -> tensor<4xi32>
// CHECK: tosa.intdiv
// CHECK: tosa.cast {{.*}} -> tensor<4xi8>
func.func @floor_divide(%x: !torch.vtensor<[4],si8>, %y: !torch.vtensor<[4],si8>) -> !torch.vtensor<[4],si8> {
  %0 = torch.aten.floor_divide %x, %y : !torch.vtensor<[4],si8>, !torch.vtensor<[4],si8> -> !torch.vtensor<[4],si8>
  return %0 : !torch.vtensor<[4],si8>
}

// -----

// An integer tensor and a fraction are compared as floats.
// CHECK: func.func @gt
// CHECK: %[[X:.*]] = tosa.cast {{.*}} -> tensor<4xf32>
// CHECK: tosa.greater %[[X]]
func.func @gt(%x: !torch.vtensor<[4],si32>) -> !torch.vtensor<[4],i1> {
  %half = torch.constant.float 5.000000e-01
  %0 = torch.aten.gt.Scalar %x, %half : !torch.vtensor<[4],si32>, !torch.float -> !torch.vtensor<[4],i1>
  return %0 : !torch.vtensor<[4],i1>
}

// -----

// CHECK: func.func @fmax
// CHECK: tosa.maximum {{.*}}nan_mode = IGNORE
func.func @fmax(%x: !torch.vtensor<[4],f32>, %y: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %0 = torch.aten.fmax %x, %y : !torch.vtensor<[4],f32>, !torch.vtensor<[4],f32> -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}

// -----

// Bits of bools are logic.
// CHECK: func.func @bitwise_and
// CHECK: tosa.logical_and
func.func @bitwise_and(%x: !torch.vtensor<[4],i1>, %y: !torch.vtensor<[4],i1>) -> !torch.vtensor<[4],i1> {
  %0 = torch.aten.bitwise_and.Tensor %x, %y : !torch.vtensor<[4],i1>, !torch.vtensor<[4],i1> -> !torch.vtensor<[4],i1>
  return %0 : !torch.vtensor<[4],i1>
}
