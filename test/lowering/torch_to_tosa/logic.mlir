// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

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

// Bits of bools are logic.
// CHECK: func.func @bitwise_and
// CHECK: tosa.logical_and
func.func @bitwise_and(%x: !torch.vtensor<[4],i1>, %y: !torch.vtensor<[4],i1>) -> !torch.vtensor<[4],i1> {
  %0 = torch.aten.bitwise_and.Tensor %x, %y : !torch.vtensor<[4],i1>, !torch.vtensor<[4],i1> -> !torch.vtensor<[4],i1>
  return %0 : !torch.vtensor<[4],i1>
}

// -----

// A shift by a place that the type does not have gives 0; TOSA leaves it undefined.
// CHECK: func.func @shift
// CHECK: tosa.minimum
// CHECK: tosa.logical_left_shift
// CHECK: tosa.select
func.func @shift(%x: !torch.vtensor<[4],si32>, %y: !torch.vtensor<[4],si32>) -> !torch.vtensor<[4],si32> {
  %0 = torch.aten.bitwise_left_shift.Tensor %x, %y : !torch.vtensor<[4],si32>, !torch.vtensor<[4],si32> -> !torch.vtensor<[4],si32>
  return %0 : !torch.vtensor<[4],si32>
}
