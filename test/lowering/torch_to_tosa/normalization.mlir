// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// Batch norm is a depthwise 1x1 convolution by gamma/sqrt(var+eps), which tosaic-fold-batch-norm
// can fold: here 2/sqrt(4) = 1 and 3 - 1*1 = 2.
// CHECK: func.func @batch_norm
// CHECK: "tosa.const"() <{values = dense<1.000000e+00> : tensor<1x1x2x1xf32>}>
// CHECK: "tosa.const"() <{values = dense<2.000000e+00> : tensor<2xf32>}>
// CHECK: tosa.depthwise_conv2d
func.func @batch_norm(%x: !torch.vtensor<[1,2,4,4],f32>) -> !torch.vtensor<[1,2,4,4],f32> {
  %gamma = torch.vtensor.literal(dense<2.0> : tensor<2xf32>) : !torch.vtensor<[2],f32>
  %beta = torch.vtensor.literal(dense<3.0> : tensor<2xf32>) : !torch.vtensor<[2],f32>
  %mean = torch.vtensor.literal(dense<1.0> : tensor<2xf32>) : !torch.vtensor<[2],f32>
  %var = torch.vtensor.literal(dense<4.0> : tensor<2xf32>) : !torch.vtensor<[2],f32>
  %false = torch.constant.bool false
  %zero = torch.constant.float 0.000000e+00
  %0 = torch.aten.batch_norm %x, %gamma, %beta, %mean, %var, %false, %zero, %zero, %false : !torch.vtensor<[1,2,4,4],f32>, !torch.vtensor<[2],f32>, !torch.vtensor<[2],f32>, !torch.vtensor<[2],f32>, !torch.vtensor<[2],f32>, !torch.bool, !torch.float, !torch.float, !torch.bool -> !torch.vtensor<[1,2,4,4],f32>
  return %0 : !torch.vtensor<[1,2,4,4],f32>
}

// -----

// Shifted by the maximum, so that exp stays finite.
// CHECK: func.func @softmax
// CHECK: tosa.reduce_max {{.*}} {axis = 1 : i32}
// CHECK: tosa.sub
// CHECK: tosa.exp
// CHECK: tosa.reduce_sum
// CHECK: tosa.reciprocal
// CHECK: tosa.mul
func.func @softmax(%x: !torch.vtensor<[2,4],f32>) -> !torch.vtensor<[2,4],f32> {
  %int-1 = torch.constant.int -1
  %none = torch.constant.none
  %0 = torch.aten.softmax.int %x, %int-1, %none : !torch.vtensor<[2,4],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>
  return %0 : !torch.vtensor<[2,4],f32>
}

// -----

// CHECK: func.func @layer_norm
// CHECK: tosa.reduce_sum {{.*}} {axis = 1 : i32}
// CHECK: tosa.rsqrt
// CHECK-NOT: tosa.pow
func.func @layer_norm(%x: !torch.vtensor<[2,4],f32>) -> !torch.vtensor<[2,4],f32> {
  %int4 = torch.constant.int 4
  %none = torch.constant.none
  %eps = torch.constant.float 1.000000e-05
  %false = torch.constant.bool false
  %dims = torch.prim.ListConstruct %int4 : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.layer_norm %x, %dims, %none, %none, %eps, %false : !torch.vtensor<[2,4],f32>, !torch.list<int>, !torch.none, !torch.none, !torch.float, !torch.bool -> !torch.vtensor<[2,4],f32>
  return %0 : !torch.vtensor<[2,4],f32>
}
