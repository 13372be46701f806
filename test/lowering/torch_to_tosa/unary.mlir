// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// TOSA has no square root; the reciprocal of the reciprocal root is right for 0 and infinity.
// CHECK: func.func @sqrt
// CHECK: %[[R:.*]] = tosa.rsqrt
// CHECK: tosa.reciprocal %[[R]]
func.func @sqrt(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %0 = torch.aten.sqrt %x : !torch.vtensor<[4],f32> -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}

// -----

// Integers become f32 first.
// CHECK: func.func @exp_integer
// CHECK: %[[X:.*]] = tosa.cast {{.*}} -> tensor<4xf32>
// CHECK: tosa.exp %[[X]]
func.func @exp_integer(%x: !torch.vtensor<[4],si32>) -> !torch.vtensor<[4],f32> {
  %0 = torch.aten.exp %x : !torch.vtensor<[4],si32> -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}
