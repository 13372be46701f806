// RUN: tosaic-opt %s --split-input-file --tosaic-propagate-casts | filecheck %s

!q = !quant.uniform<i8:f32, 0.5:3>

// Movement between equal parameters works on integers.
// CHECK: func.func @move
// CHECK-NEXT: tosa.transpose %arg0 {{.*}} -> tensor<3x2x!quant.uniform
// CHECK-NEXT: return
func.func @move(%x: tensor<2x3x!q>) -> tensor<3x2x!q> {
  %0 = quant.dcast %x : tensor<2x3x!q> to tensor<2x3xf32>
  %1 = tosa.transpose %0 {perms = array<i32: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %2 = quant.qcast %1 : tensor<3x2xf32> to tensor<3x2x!q>
  return %2 : tensor<3x2x!q>
}

// -----

!q = !quant.uniform<i8:f32, 0.5:3>
!r = !quant.uniform<i8:f32, 0.25:0>

// Between different ones it takes one rescale, by 2.
// CHECK: func.func @requantise
// CHECK: tosa.rescale
// CHECK-NOT: quant.qcast
// CHECK-NOT: quant.dcast
func.func @requantise(%x: tensor<4x!q>) -> tensor<4x!r> {
  %0 = quant.dcast %x : tensor<4x!q> to tensor<4xf32>
  %1 = quant.qcast %0 : tensor<4xf32> to tensor<4x!r>
  return %1 : tensor<4x!r>
}

// -----

!q = !quant.uniform<i8:f32, 0.5:-128>
!r = !quant.uniform<i8:f32, 0.5:0>

// A ReLU is nothing where the zero point is the lowest integer, and integer bounds elsewhere.
// CHECK: func.func @relu
// CHECK: quant.qcast %arg0 : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 5.000000e-01:-128>>
// CHECK: quant.qcast %arg0 : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 5.000000e-01>>
// CHECK: tosa.clamp {{.*}} {max_val = 127 : i8, min_val = 0 : i8}
// CHECK-NOT: tosa.clamp
func.func @relu(%x: tensor<4xf32>) -> (tensor<4x!q>, tensor<4x!r>) {
  %0 = tosa.clamp %x {min_val = 0.0 : f32, max_val = 0x7F800000 : f32} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = quant.qcast %0 : tensor<4xf32> to tensor<4x!q>
  %2 = quant.qcast %0 : tensor<4xf32> to tensor<4x!r>
  return %1, %2 : tensor<4x!q>, tensor<4x!r>
}

// -----

!q = !quant.uniform<i8:f32, 0.5:3>

// A factor goes into the scale: the integers are those of scale 0.25.
// CHECK: func.func @factor
// CHECK-NOT: tosa.mul
// CHECK: quant.qcast %arg0 : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 2.500000e-01:3>>
func.func @factor(%x: tensor<4xf32>) -> tensor<4x!q> {
  %c = "tosa.const"() {values = dense<2.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %s = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.mul %x, %c, %s : (tensor<4xf32>, tensor<1xf32>, tensor<1xi8>) -> tensor<4xf32>
  %1 = quant.qcast %0 : tensor<4xf32> to tensor<4x!q>
  return %1 : tensor<4x!q>
}

// -----

!q = !quant.uniform<i8:f32, 0.5:3>

// What computes stays between the casts, for tosaic-fold-qdq.
// CHECK: func.func @computes
// CHECK: quant.dcast
// CHECK: tosa.add
// CHECK: quant.qcast
func.func @computes(%x: tensor<4x!q>) -> tensor<4x!q> {
  %0 = quant.dcast %x : tensor<4x!q> to tensor<4xf32>
  %1 = tosa.add %0, %0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.qcast %1 : tensor<4xf32> to tensor<4x!q>
  return %2 : tensor<4x!q>
}
