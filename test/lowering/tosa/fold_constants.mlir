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

// Integers divide towards zero; sums keep their dim.
// CHECK: func.func @integers
// CHECK-NEXT: "tosa.const"() <{values = dense<-2> : tensor<1xi64>}>
// CHECK-NEXT: return
func.func @integers() -> tensor<1xi64> {
  %a = "tosa.const"() {values = dense<[-7, 3, -1]> : tensor<3xi64>} : () -> tensor<3xi64>
  %b = "tosa.const"() {values = dense<2> : tensor<1xi64>} : () -> tensor<1xi64>
  %0 = tosa.intdiv %a, %b : (tensor<3xi64>, tensor<1xi64>) -> tensor<3xi64>
  %1 = tosa.reduce_sum %0 {axis = 0 : i32} : (tensor<3xi64>) -> tensor<1xi64>
  return %1 : tensor<1xi64>
}

// -----

// A lookup by constants, and a comparison of what it finds.
// CHECK: func.func @lookup
// CHECK-NEXT: "tosa.const"() <{values = dense<{{\[\[\[}}false], [true]]]> : tensor<1x2x1xi1>}>
// CHECK-NEXT: return
func.func @lookup() -> tensor<1x2x1xi1> {
  %a = "tosa.const"() {values = dense<[[[1.0], [2.0], [3.0]]]> : tensor<1x3x1xf32>} : () -> tensor<1x3x1xf32>
  %i = "tosa.const"() {values = dense<[[0, 2]]> : tensor<1x2xi32>} : () -> tensor<1x2xi32>
  %two = "tosa.const"() {values = dense<2.0> : tensor<1x1x1xf32>} : () -> tensor<1x1x1xf32>
  %0 = tosa.gather %a, %i : (tensor<1x3x1xf32>, tensor<1x2xi32>) -> tensor<1x2x1xf32>
  %1 = tosa.greater %0, %two : (tensor<1x2x1xf32>, tensor<1x1x1xf32>) -> tensor<1x2x1xi1>
  return %1 : tensor<1x2x1xi1>
}

// -----

// What is no constant stays, and so does what is not defined.
// CHECK: func.func @not
// CHECK: tosa.transpose %arg0
func.func @not(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  %0 = tosa.transpose %x {perms = array<i32: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  return %0 : tensor<3x2xf32>
}

// -----

// CHECK: func.func @by_zero
// CHECK: tosa.intdiv
func.func @by_zero() -> tensor<1xi32> {
  %a = "tosa.const"() {values = dense<1> : tensor<1xi32>} : () -> tensor<1xi32>
  %b = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %0 = tosa.intdiv %a, %b : (tensor<1xi32>, tensor<1xi32>) -> tensor<1xi32>
  return %0 : tensor<1xi32>
}
