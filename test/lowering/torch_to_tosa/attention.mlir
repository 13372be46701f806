// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// Half of the row gates the other half.
// CHECK: func.func @glu
// CHECK: tosa.slice {{.*}} -> tensor<2x3xf32>
// CHECK: tosa.slice {{.*}} -> tensor<2x3xf32>
// CHECK: tosa.sigmoid
// CHECK: tosa.mul
func.func @glu(%x: !torch.vtensor<[2,6],f32>) -> !torch.vtensor<[2,3],f32> {
  %int1 = torch.constant.int 1
  %0 = torch.aten.glu %x, %int1 : !torch.vtensor<[2,6],f32>, !torch.int -> !torch.vtensor<[2,3],f32>
  return %0 : !torch.vtensor<[2,3],f32>
}

// -----

// Scores, their softmax, and the mean of the values that it weighs.
// CHECK: func.func @sdpa
// CHECK: tosa.matmul {{.*}} -> tensor<2x3x5xf32>
// CHECK: tosa.mul
// CHECK: tosa.reduce_max {{.*}} {axis = 3 : i32}
// CHECK: tosa.exp
// CHECK: tosa.reduce_sum
// CHECK: tosa.reciprocal
// CHECK: tosa.matmul {{.*}} -> tensor<2x3x4xf32>
func.func @sdpa(%q: !torch.vtensor<[1,2,3,4],f32>, %k: !torch.vtensor<[1,2,5,4],f32>, %v: !torch.vtensor<[1,2,5,4],f32>) -> !torch.vtensor<[1,2,3,4],f32> {
  %none = torch.constant.none
  %p = torch.constant.float 0.0
  %false = torch.constant.bool false
  %0 = torch.aten.scaled_dot_product_attention %q, %k, %v, %none, %p, %false, %none, %false : !torch.vtensor<[1,2,3,4],f32>, !torch.vtensor<[1,2,5,4],f32>, !torch.vtensor<[1,2,5,4],f32>, !torch.none, !torch.float, !torch.bool, !torch.none, !torch.bool -> !torch.vtensor<[1,2,3,4],f32>
  return %0 : !torch.vtensor<[1,2,3,4],f32>
}
