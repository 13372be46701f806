// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-torch-to-tosa

func.func @int16_zero_point(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],si16> {
  %scale = torch.constant.float 5.000000e-01
  %zp = torch.constant.int 3
  %low = torch.constant.int -32768
  %high = torch.constant.int 32767
  %dtype = torch.constant.int 2
  // expected-error@below {{TOSA's int16 has no zero point; quantise it symmetrically}}
  %q = torch.quantized_decomposed.quantize_per_tensor %x, %scale, %zp, %low, %high, %dtype : !torch.vtensor<[4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[4],si16>
  return %q : !torch.vtensor<[4],si16>
}

// -----

func.func @int32(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],si32> {
  %scale = torch.constant.float 5.000000e-01
  %zp = torch.constant.int 0
  %low = torch.constant.int -8388608
  %high = torch.constant.int 8388607
  %dtype = torch.constant.int 3
  // expected-error@below {{its values have 32 bits; quantise activations to int8 or int16}}
  %q = torch.quantized_decomposed.quantize_per_tensor %x, %scale, %zp, %low, %high, %dtype : !torch.vtensor<[4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[4],si32>
  return %q : !torch.vtensor<[4],si32>
}

// -----

func.func @no_scale(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],si8> {
  %scale = torch.constant.float 0.000000e+00
  %zp = torch.constant.int 0
  %low = torch.constant.int -128
  %high = torch.constant.int 127
  %dtype = torch.constant.int 1
  // expected-error@below {{its scale 0.0 is not a positive number; calibrate with data that reaches this op}}
  %q = torch.quantized_decomposed.quantize_per_tensor %x, %scale, %zp, %low, %high, %dtype : !torch.vtensor<[4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[4],si8>
  return %q : !torch.vtensor<[4],si8>
}

// -----

// uint8 is signed inside: nothing but a dequantize may see its bits.
func.func @uint8_seen(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],ui8> {
  %scale = torch.constant.float 5.000000e-01
  %zp = torch.constant.int 100
  %low = torch.constant.int 0
  %high = torch.constant.int 255
  %dtype = torch.constant.int 0
  // expected-error@below {{its uint8 values are used as such; quantise to int8}}
  %q = torch.quantized_decomposed.quantize_per_tensor %x, %scale, %zp, %low, %high, %dtype : !torch.vtensor<[4],f32>, !torch.float, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[4],ui8>
  return %q : !torch.vtensor<[4],ui8>
}

// -----

func.func @dynamic(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[1],f64> {
  %low = torch.constant.int -128
  %high = torch.constant.int 127
  %eps = torch.constant.float 1.000000e-05
  %dtype = torch.constant.int 1
  // expected-error@below {{it finds a scale while the model runs (dynamic quantisation)}}
  %0:2 = torch.operator "torch.quantized_decomposed.choose_qparams.tensor"(%x, %low, %high, %eps, %dtype) : (!torch.vtensor<[4],f32>, !torch.int, !torch.int, !torch.float, !torch.int) -> (!torch.vtensor<[1],f64>, !torch.vtensor<[1],si64>)
  return %0#0 : !torch.vtensor<[1],f64>
}
