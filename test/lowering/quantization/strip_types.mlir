// RUN: tosaic-opt %s --tosaic-strip-quant-types | filecheck %s

!q = !quant.uniform<i8:f32, 0.5:3>

// CHECK: func.func @strip(%arg0: tensor<4xi8>) -> tensor<4xi8>
// CHECK-NEXT: tosa.clamp %arg0
// CHECK-NEXT: return
// CHECK-NOT: quant
func.func @strip(%x: tensor<4x!q>) -> tensor<4xi8> {
  %0 = tosa.identity %x : (tensor<4x!q>) -> tensor<4x!q>
  %1 = tosa.clamp %0 {min_val = 3 : i8, max_val = 127 : i8} : (tensor<4x!q>) -> tensor<4x!q>
  %2 = quant.scast %1 : tensor<4x!q> to tensor<4xi8>
  return %2 : tensor<4xi8>
}
