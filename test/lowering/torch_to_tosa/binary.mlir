// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// Small whole powers are products, right for negative numbers too.
// CHECK: func.func @square
// CHECK: %[[X:.*]] = torch_c.to_builtin_tensor
// CHECK: tosa.mul %[[X]], %[[X]]
// CHECK-NOT: tosa.pow
func.func @square(%x: !torch.vtensor<[3],f32>) -> !torch.vtensor<[3],f32> {
  %two = torch.constant.int 2
  %0 = torch.aten.pow.Tensor_Scalar %x, %two : !torch.vtensor<[3],f32>, !torch.int -> !torch.vtensor<[3],f32>
  return %0 : !torch.vtensor<[3],f32>
}

// -----

// A power of a positive number needs no case for negative ones; where the result leaves f32,
// POW is undefined and EXP is not.
// CHECK: func.func @power_of_two
// CHECK: tosa.pow
// CHECK: tosa.exp
// CHECK: tosa.select
func.func @power_of_two(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %two = torch.constant.int 2
  %0 = torch.aten.pow.Scalar %two, %x : !torch.int, !torch.vtensor<[4],f32> -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}
