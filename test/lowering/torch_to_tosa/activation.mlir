// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// CHECK: func.func @silu
// CHECK: %[[X:.*]] = torch_c.to_builtin_tensor
// CHECK: %[[GATE:.*]] = tosa.sigmoid %[[X]]
// CHECK: tosa.mul %[[X]], %[[GATE]]
func.func @silu(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %0 = torch.aten.silu %x : !torch.vtensor<[4],f32> -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}

// -----

// gelu says itself which of its two forms it is.
// CHECK: func.func @gelu
// CHECK: tosa.erf
// CHECK: tosa.tanh
// CHECK-NOT: tosa.erf
func.func @gelu(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %none = torch.constant.str "none"
  %tanh = torch.constant.str "tanh"
  %0 = torch.aten.gelu %x, %none : !torch.vtensor<[4],f32>, !torch.str -> !torch.vtensor<[4],f32>
  %1 = torch.aten.gelu %0, %tanh : !torch.vtensor<[4],f32>, !torch.str -> !torch.vtensor<[4],f32>
  return %1 : !torch.vtensor<[4],f32>
}

// -----

// A slope for each channel, dim 1; it need not be a constant.
// CHECK: func.func @prelu
// CHECK: tosa.reshape {{.*}} -> tensor<1x3x1xf32>
func.func @prelu(%x: !torch.vtensor<[2,3,5],f32>, %w: !torch.vtensor<[3],f32>) -> !torch.vtensor<[2,3,5],f32> {
  %0 = torch.aten.prelu %x, %w : !torch.vtensor<[2,3,5],f32>, !torch.vtensor<[3],f32> -> !torch.vtensor<[2,3,5],f32>
  return %0 : !torch.vtensor<[2,3,5],f32>
}
