// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// A composite between quant casts is computed in integers as a whole.

// Softmax: a lookup, a sum, a product. 255 steps of 1/64 are less than the bits of an exponential
// can span, so there is no shift by the maximum.
// CHECK-LABEL: @softmax
// CHECK-NOT: tosa.reduce_max
// CHECK: tosa.table {{.*}} (tensor<2x4xi16>, tensor<513xi16>)
// CHECK: tosa.reduce_sum {{.*}} (tensor<2x4xi32>)
// CHECK: tosa.clz {{.*}} (tensor<2x1xi32>)
// CHECK: tosa.mul {{.*}} (tensor<2x4xi16>, tensor<2x1xi16>, tensor<1xi8>)
// CHECK-NOT: tosa.exp
func.func @softmax(%x: !torch.vtensor<[2,4],f32>) -> !torch.vtensor<[2,4],si8> {
  %none = torch.constant.none
  %dim = torch.constant.int -1
  %scale = torch.constant.float 1.562500e-02
  %out = torch.constant.float 3.906250e-03
  %zp = torch.constant.int 0
  %bottom = torch.constant.int -128
  %high = torch.constant.int 127
  %dtype = torch.constant.int 1
  %q = torch.quantized_decomposed.quantize_per_tensor %x, %scale, %zp, %bottom, %high, %dtype : !torch.vtensor<[2,4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4],si8>
  %d = torch.quantized_decomposed.dequantize_per_tensor %q, %scale, %zp, %bottom, %high, %dtype, %none : !torch.vtensor<[2,4],si8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>
  %0 = torch.aten.softmax.int %d, %dim, %none : !torch.vtensor<[2,4],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>
  %1 = torch.quantized_decomposed.quantize_per_tensor %0, %out, %bottom, %bottom, %high, %dtype : !torch.vtensor<[2,4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4],si8>
  return %1 : !torch.vtensor<[2,4],si8>
}

// -----

// Steps of 1/4 span 64: the maximum is taken off first.
// CHECK-LABEL: @softmax_of_a_wide_range
// CHECK: tosa.reduce_max {{.*}} (tensor<2x4xi8>)
// CHECK: tosa.sub
// CHECK: tosa.table
func.func @softmax_of_a_wide_range(%x: !torch.vtensor<[2,4],f32>) -> !torch.vtensor<[2,4],si8> {
  %none = torch.constant.none
  %dim = torch.constant.int -1
  %scale = torch.constant.float 2.500000e-01
  %out = torch.constant.float 3.906250e-03
  %zp = torch.constant.int 0
  %bottom = torch.constant.int -128
  %high = torch.constant.int 127
  %dtype = torch.constant.int 1
  %q = torch.quantized_decomposed.quantize_per_tensor %x, %scale, %zp, %bottom, %high, %dtype : !torch.vtensor<[2,4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4],si8>
  %d = torch.quantized_decomposed.dequantize_per_tensor %q, %scale, %zp, %bottom, %high, %dtype, %none : !torch.vtensor<[2,4],si8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>
  %0 = torch.aten.softmax.int %d, %dim, %none : !torch.vtensor<[2,4],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>
  %1 = torch.quantized_decomposed.quantize_per_tensor %0, %out, %bottom, %bottom, %high, %dtype : !torch.vtensor<[2,4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4],si8>
  return %1 : !torch.vtensor<[2,4],si8>
}

// -----

// Layer norm: mean, centred in 16 bits, sum of squares, two products. A weight of ones and a bias
// of zeros cost nothing.
// CHECK-LABEL: @layer_norm
// CHECK: tosa.reduce_sum
// CHECK: tosa.sub
// CHECK: %[[CENTRED:.*]] = tosa.rescale {{.*}} -> tensor<1x1x2x4xi16>
// CHECK: tosa.mul %[[CENTRED]], %[[CENTRED]]
// CHECK: tosa.reduce_sum
// CHECK: tosa.clz {{.*}} (tensor<1x1x2x1xi32>)
// CHECK: tosa.mul %[[CENTRED]]
// CHECK: tosa.mul {{.*}} (tensor<1x1x2x4xi16>, tensor<1x1x2x1xi16>, tensor<1xi8>)
// CHECK-NOT: tosa.mul
// CHECK-NOT: tosa.rsqrt
func.func @layer_norm(%x: !torch.vtensor<[2,4],f32>) -> !torch.vtensor<[2,4],si8> {
  %weight = torch.vtensor.literal(dense<1.0> : tensor<4xf32>) : !torch.vtensor<[4],f32>
  %bias = torch.vtensor.literal(dense<0.0> : tensor<4xf32>) : !torch.vtensor<[4],f32>
  %none = torch.constant.none
  %false = torch.constant.bool false
  %eps = torch.constant.float 1.000000e-05
  %four = torch.constant.int 4
  %dims = torch.prim.ListConstruct %four : (!torch.int) -> !torch.list<int>
  %scale = torch.constant.float 3.125000e-02
  %zp = torch.constant.int 0
  %low = torch.constant.int -128
  %high = torch.constant.int 127
  %dtype = torch.constant.int 1
  %q = torch.quantized_decomposed.quantize_per_tensor %x, %scale, %zp, %low, %high, %dtype : !torch.vtensor<[2,4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4],si8>
  %d = torch.quantized_decomposed.dequantize_per_tensor %q, %scale, %zp, %low, %high, %dtype, %none : !torch.vtensor<[2,4],si8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>
  %0 = torch.aten.layer_norm %d, %dims, %weight, %bias, %eps, %false : !torch.vtensor<[2,4],f32>, !torch.list<int>, !torch.vtensor<[4],f32>, !torch.vtensor<[4],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,4],f32>
  %1 = torch.quantized_decomposed.quantize_per_tensor %0, %scale, %zp, %low, %high, %dtype : !torch.vtensor<[2,4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4],si8>
  return %1 : !torch.vtensor<[2,4],si8>
}

// -----

// RMS norm takes no mean off; a weight is one more product.
// CHECK-LABEL: @rms_norm
// CHECK-NOT: tosa.sub
// CHECK-COUNT-1: tosa.reduce_sum
// CHECK-NOT: tosa.reduce_sum
// CHECK: tosa.mul {{.*}} (tensor<1x1x2x4xi16>, tensor<1x1x1x4xi16>, tensor<1xi8>)
func.func @rms_norm(%x: !torch.vtensor<[2,4],f32>) -> !torch.vtensor<[2,4],si8> {
  %weight = torch.vtensor.literal(dense<[1.0, 2.0, -1.0, 0.5]> : tensor<4xf32>) : !torch.vtensor<[4],f32>
  %none = torch.constant.none
  %eps = torch.constant.float 1.000000e-05
  %four = torch.constant.int 4
  %dims = torch.prim.ListConstruct %four : (!torch.int) -> !torch.list<int>
  %scale = torch.constant.float 3.125000e-02
  %zp = torch.constant.int 0
  %low = torch.constant.int -128
  %high = torch.constant.int 127
  %dtype = torch.constant.int 1
  %q = torch.quantized_decomposed.quantize_per_tensor %x, %scale, %zp, %low, %high, %dtype : !torch.vtensor<[2,4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4],si8>
  %d = torch.quantized_decomposed.dequantize_per_tensor %q, %scale, %zp, %low, %high, %dtype, %none : !torch.vtensor<[2,4],si8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>
  %0 = torch.aten.rms_norm %d, %dims, %weight, %eps : !torch.vtensor<[2,4],f32>, !torch.list<int>, !torch.vtensor<[4],f32>, !torch.float -> !torch.vtensor<[2,4],f32>
  %1 = torch.quantized_decomposed.quantize_per_tensor %0, %scale, %zp, %low, %high, %dtype : !torch.vtensor<[2,4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4],si8>
  return %1 : !torch.vtensor<[2,4],si8>
}

// -----

// A softmax that nobody quantises stays what it is.
// CHECK-LABEL: @float
// CHECK: tosa.exp
func.func @float(%x: !torch.vtensor<[2,4],f32>) -> !torch.vtensor<[2,4],f32> {
  %none = torch.constant.none
  %dim = torch.constant.int -1
  %0 = torch.aten.softmax.int %x, %dim, %none : !torch.vtensor<[2,4],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>
  return %0 : !torch.vtensor<[2,4],f32>
}

// -----

// The clamp behind a composite is one of integers; a reader of other parameters has its own.
// CHECK-LABEL: @softmax_clamped
// CHECK-NOT: tosa.exp
// CHECK: tosa.clz
// CHECK: tosa.clz
// CHECK: [[READ:%.+]] = quant.dcast {{.*}} : tensor<2x4x!quant.uniform<i8:f32, 0.001953125:-128>>
// CHECK: tosa.clamp [[READ]]
// CHECK-NOT: tosa.exp
func.func @softmax_clamped(%x: !torch.vtensor<[2,4],f32>) -> (!torch.vtensor<[2,4],si8>, !torch.vtensor<[2,4],si8>) {
  %none = torch.constant.none
  %dim = torch.constant.int -1
  %scale = torch.constant.float 1.562500e-02
  %out = torch.constant.float 3.906250e-03
  %fine = torch.constant.float 1.953125e-03
  %half = torch.constant.float 0.5
  %zp = torch.constant.int 0
  %bottom = torch.constant.int -128
  %high = torch.constant.int 127
  %dtype = torch.constant.int 1
  %q = torch.quantized_decomposed.quantize_per_tensor %x, %scale, %zp, %bottom, %high, %dtype : !torch.vtensor<[2,4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4],si8>
  %d = torch.quantized_decomposed.dequantize_per_tensor %q, %scale, %zp, %bottom, %high, %dtype, %none : !torch.vtensor<[2,4],si8>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>
  %0 = torch.aten.softmax.int %d, %dim, %none : !torch.vtensor<[2,4],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4],f32>
  %1 = torch.quantized_decomposed.quantize_per_tensor %0, %out, %bottom, %bottom, %high, %dtype : !torch.vtensor<[2,4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4],si8>
  %2 = torch.aten.clamp %0, %none, %half : !torch.vtensor<[2,4],f32>, !torch.none, !torch.float -> !torch.vtensor<[2,4],f32>
  %3 = torch.quantized_decomposed.quantize_per_tensor %2, %fine, %bottom, %bottom, %high, %dtype : !torch.vtensor<[2,4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4],si8>
  return %1, %3 : !torch.vtensor<[2,4],si8>, !torch.vtensor<[2,4],si8>
}
