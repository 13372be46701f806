// RUN: tosaic-opt %s --split-input-file --tosaic-fold-constants | filecheck %s

// Movement and float arithmetic, rounded once.
// CHECK: func.func @float
// CHECK-NEXT: "tosa.const"() <{values = dense<{{\[\[}}1.000000e+00, 3.000000e+00], [2.000000e+00, 4.000000e+00]]> : tensor<2x2xf32>}>
// CHECK-NEXT: return
func.func @float() -> tensor<2x2xf32> {
  %a = "tosa.const"() {values = dense<[[0.0, 1.0], [2.0, 3.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
  %b = "tosa.const"() {values = dense<1.0> : tensor<1x1xf32>} : () -> tensor<1x1xf32>
  %0 = tosa.add %a, %b : (tensor<2x2xf32>, tensor<1x1xf32>) -> tensor<2x2xf32>
  %1 = tosa.transpose %0 {perms = array<i32: 1, 0>} : (tensor<2x2xf32>) -> tensor<2x2xf32>
  return %1 : tensor<2x2xf32>
}

// -----

// A quant cast of a constant: 1.0 / 0.5 + 3, in the quantised type.
// CHECK: func.func @quantize
// CHECK-NEXT: "tosa.const"() <{values = dense<5> : tensor<2xi8>}> : () -> tensor<2x!quant.uniform<i8:f32, 5.000000e-01:3>>
// CHECK-NEXT: return
func.func @quantize() -> tensor<2x!quant.uniform<i8:f32, 0.5:3>> {
  %a = "tosa.const"() {values = dense<1.0> : tensor<2xf32>} : () -> tensor<2xf32>
  %0 = quant.qcast %a : tensor<2xf32> to tensor<2x!quant.uniform<i8:f32, 0.5:3>>
  return %0 : tensor<2x!quant.uniform<i8:f32, 0.5:3>>
}

// -----

// A cast rounds half to even and saturates.
// CHECK: func.func @cast
// CHECK-NEXT: dense<[2, 2, 127]> : tensor<3xi8>
func.func @cast() -> tensor<3xi8> {
  %a = "tosa.const"() {values = dense<[1.5, 2.5, 1000.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %0 = tosa.cast %a : (tensor<3xf32>) -> tensor<3xi8>
  return %0 : tensor<3xi8>
}

// -----

// What is no constant stays, and so does integer arithmetic (upstream's).
// CHECK: func.func @not
// CHECK: tosa.transpose %arg0
func.func @not(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  %0 = tosa.transpose %x {perms = array<i32: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  return %0 : tensor<3x2xf32>
}
