// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// Ranks are equalised, operands broadcast; alpha is a product.
// CHECK: func.func @add
// CHECK: %[[Y:.*]] = tosa.mul {{.*}} -> tensor<3xf32>
// CHECK: %[[Y2:.*]] = tosa.reshape %[[Y]], {{.*}} -> tensor<1x3xf32>
// CHECK: tosa.add %{{.*}}, %[[Y2]] : (tensor<2x3xf32>, tensor<1x3xf32>) -> tensor<2x3xf32>
func.func @add(%x: !torch.vtensor<[2,3],f32>, %y: !torch.vtensor<[3],f32>) -> !torch.vtensor<[2,3],f32> {
  %alpha = torch.constant.float 5.000000e-01
  %0 = torch.aten.add.Tensor %x, %y, %alpha : !torch.vtensor<[2,3],f32>, !torch.vtensor<[3],f32>, !torch.float -> !torch.vtensor<[2,3],f32>
  return %0 : !torch.vtensor<[2,3],f32>
}

// -----

// An int tensor and a float one: promoted to float.
// CHECK: func.func @promote
// CHECK: tosa.cast {{.*}} : (tensor<3xi32>) -> tensor<3xf32>
// CHECK: tosa.mul {{.*}} -> tensor<3xf32>
func.func @promote(%x: !torch.vtensor<[3],si32>, %y: !torch.vtensor<[3],f32>) -> !torch.vtensor<[3],f32> {
  %0 = torch.aten.mul.Tensor %x, %y : !torch.vtensor<[3],si32>, !torch.vtensor<[3],f32> -> !torch.vtensor<[3],f32>
  return %0 : !torch.vtensor<[3],f32>
}

// -----

// Division by a number is one multiplication.
// CHECK: func.func @div
// CHECK: values = dense<2.500000e-01>
// CHECK: tosa.mul
// CHECK-NOT: tosa.reciprocal
func.func @div(%x: !torch.vtensor<[3],f32>) -> !torch.vtensor<[3],f32> {
  %four = torch.constant.int 4
  %0 = torch.aten.div.Scalar %x, %four : !torch.vtensor<[3],f32>, !torch.int -> !torch.vtensor<[3],f32>
  return %0 : !torch.vtensor<[3],f32>
}

// -----

// CHECK: func.func @fmax
// CHECK: tosa.maximum {{.*}}nan_mode = IGNORE
func.func @fmax(%x: !torch.vtensor<[4],f32>, %y: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %0 = torch.aten.fmax %x, %y : !torch.vtensor<[4],f32>, !torch.vtensor<[4],f32> -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}

// -----

// TOSA adds no i8: i32 is, and the low bits are kept, as PyTorch wraps around.
// CHECK: func.func @add_i8
// CHECK-COUNT-2: tosa.cast {{.*}} -> tensor<4xi32>
// CHECK: %[[S:.*]] = tosa.add {{.*}} -> tensor<4xi32>
// CHECK: tosa.cast %[[S]] : (tensor<4xi32>) -> tensor<4xi8>
func.func @add_i8(%x: !torch.vtensor<[4],si8>, %y: !torch.vtensor<[4],si8>) -> !torch.vtensor<[4],si8> {
  %one = torch.constant.int 1
  %0 = torch.aten.add.Tensor %x, %y, %one : !torch.vtensor<[4],si8>, !torch.vtensor<[4],si8>, !torch.int -> !torch.vtensor<[4],si8>
  return %0 : !torch.vtensor<[4],si8>
}

// -----

// The sum of bools is whether one is true.
// CHECK: func.func @add_bool
// CHECK: tosa.logical_or
// CHECK-NOT: tosa.add
func.func @add_bool(%x: !torch.vtensor<[4],i1>, %y: !torch.vtensor<[4],i1>) -> !torch.vtensor<[4],i1> {
  %one = torch.constant.int 1
  %0 = torch.aten.add.Tensor %x, %y, %one : !torch.vtensor<[4],i1>, !torch.vtensor<[4],i1>, !torch.int -> !torch.vtensor<[4],i1>
  return %0 : !torch.vtensor<[4],i1>
}

// -----

// Formulas of f16 are computed in f32 and rounded once, as PyTorch does.
// CHECK: func.func @lerp_f16
// CHECK-COUNT-2: tosa.cast {{.*}} : (tensor<4xf16>) -> tensor<4xf32>
// CHECK: tosa.cast {{.*}} : (tensor<4xf32>) -> tensor<4xf16>
func.func @lerp_f16(%x: !torch.vtensor<[4],f16>, %y: !torch.vtensor<[4],f16>) -> !torch.vtensor<[4],f16> {
  %w = torch.constant.float 2.500000e-01
  %0 = torch.aten.lerp.Scalar %x, %y, %w : !torch.vtensor<[4],f16>, !torch.vtensor<[4],f16>, !torch.float -> !torch.vtensor<[4],f16>
  return %0 : !torch.vtensor<[4],f16>
}
