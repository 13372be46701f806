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
