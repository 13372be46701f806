// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa | filecheck %s

// The parameters go into the type. The identity keeps MLIR from folding dcast(qcast(x)) to x,
// which would forget the rounding.
// CHECK: func.func @per_tensor
// CHECK: quant.qcast {{.*}} to tensor<4x!quant.uniform<i8:f32, 5.000000e-01:3>>
// CHECK: tosa.identity
// CHECK: quant.dcast {{.*}} to tensor<4xf32>
func.func @per_tensor(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %scale = torch.constant.float 5.000000e-01
  %zp = torch.constant.int 3
  %low = torch.constant.int -128
  %high = torch.constant.int 127
  %dtype = torch.constant.int 1
  %none = torch.constant.none
  %q = torch.quantized_decomposed.quantize_per_tensor %x, %scale, %zp, %low, %high, %dtype : !torch.vtensor<[4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[4],si8>
  %0 = torch.quantized_decomposed.dequantize_per_tensor %q, %scale, %zp, %low, %high, %dtype, %none : !torch.vtensor<[4],si8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}

// -----

// Weights: a scale per index of dim 0, symmetric, in -127..127.
// CHECK: func.func @per_channel
// CHECK: quant.dcast {{.*}} : tensor<2x3x!quant.uniform<i8<-127:127>:f32:0, {5.000000e-01,2.500000e-01}>> to tensor<2x3xf32>
func.func @per_channel() -> !torch.vtensor<[2,3],f32> {
  %w = torch.vtensor.literal(dense<1> : tensor<2x3xsi8>) : !torch.vtensor<[2,3],si8>
  %scales = torch.vtensor.literal(dense<[0.5, 0.25]> : tensor<2xf32>) : !torch.vtensor<[2],f32>
  %zps = torch.vtensor.literal(dense<0> : tensor<2xsi64>) : !torch.vtensor<[2],si64>
  %axis = torch.constant.int 0
  %low = torch.constant.int -127
  %high = torch.constant.int 127
  %dtype = torch.constant.int 1
  %none = torch.constant.none
  %0 = torch.quantized_decomposed.dequantize_per_channel %w, %scales, %zps, %axis, %low, %high, %dtype, %none : !torch.vtensor<[2,3],si8>, !torch.vtensor<[2],f32>, !torch.vtensor<[2],si64>, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[2,3],f32>
  return %0 : !torch.vtensor<[2,3],f32>
}

// -----

// uint8 becomes int8 less by 128: zero point 100 is -28, the stored 255 is 127.
// CHECK: func.func @unsigned
// CHECK-DAG: quant.qcast {{.*}} to tensor<2x!quant.uniform<i8:f32, 5.000000e-01:-28>>
// CHECK-DAG: dense<[-128, 127]> : tensor<2xi8>
func.func @unsigned(%x: !torch.vtensor<[2],f32>) -> (!torch.vtensor<[2],f32>, !torch.vtensor<[2],f32>) {
  %scale = torch.constant.float 5.000000e-01
  %zp = torch.constant.int 100
  %low = torch.constant.int 0
  %high = torch.constant.int 255
  %dtype = torch.constant.int 0
  %none = torch.constant.none
  %w = torch.vtensor.literal(dense<[0, 255]> : tensor<2xui8>) : !torch.vtensor<[2],ui8>
  %q = torch.quantized_decomposed.quantize_per_tensor %x, %scale, %zp, %low, %high, %dtype : !torch.vtensor<[2],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2],ui8>
  %0 = torch.quantized_decomposed.dequantize_per_tensor %q, %scale, %zp, %low, %high, %dtype, %none : !torch.vtensor<[2],ui8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[2],f32>
  %1 = torch.quantized_decomposed.dequantize_per_tensor %w, %scale, %zp, %low, %high, %dtype, %none : !torch.vtensor<[2],ui8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[2],f32>
  return %0, %1 : !torch.vtensor<[2],f32>, !torch.vtensor<[2],f32>
}
