// RUN: tosaic-opt %s --split-input-file --tosaic-fold-table | filecheck %s

!q = !quant.uniform<i8:f32, 0.5:0>

// x * sigmoid(x), any number of ops of one input: one lookup.
// CHECK: func.func @silu
// CHECK: "tosa.const"() <{values = dense<"0x{{.*}}"> : tensor<256xi8>}>
// CHECK: tosa.table
// CHECK-NOT: tosa.sigmoid
// CHECK-NOT: tosa.mul
func.func @silu(%x: tensor<4x!q>) -> tensor<4x!q> {
  %s = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = quant.dcast %x : tensor<4x!q> to tensor<4xf32>
  %1 = tosa.sigmoid %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = tosa.mul %0, %1, %s : (tensor<4xf32>, tensor<4xf32>, tensor<1xi8>) -> tensor<4xf32>
  %3 = quant.qcast %2 : tensor<4xf32> to tensor<4x!q>
  return %3 : tensor<4x!q>
}

// -----

!q = !quant.uniform<i8:f32, 0.5:0>

// Not of two inputs, nor with a constant that differs per element.
// CHECK: func.func @not
// CHECK-NOT: tosa.table
func.func @not(%x: tensor<4x!q>, %y: tensor<4x!q>) -> (tensor<4x!q>, tensor<4x!q>) {
  %c = "tosa.const"() {values = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>} : () -> tensor<4xf32>
  %0 = quant.dcast %x : tensor<4x!q> to tensor<4xf32>
  %1 = quant.dcast %y : tensor<4x!q> to tensor<4xf32>
  %2 = tosa.maximum %0, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = quant.qcast %2 : tensor<4xf32> to tensor<4x!q>
  %4 = tosa.maximum %0, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %5 = quant.qcast %4 : tensor<4xf32> to tensor<4x!q>
  return %3, %5 : tensor<4x!q>, tensor<4x!q>
}

// -----

!q = !quant.uniform<i8:f32, 0.5:0>

// A constant of NaNs is one number as any other.
// CHECK-LABEL: @nan
// CHECK: tosa.table
func.func @nan(%x: tensor<4x!q>) -> tensor<4x!q> {
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %n = "tosa.const"() {values = dense<0x7FC00000> : tensor<1xf32>} : () -> tensor<1xf32>
  %0 = quant.dcast %x : tensor<4x!q> to tensor<4xf32>
  %1 = tosa.greater %z, %0 : (tensor<1xf32>, tensor<4xf32>) -> tensor<4xi1>
  %2 = tosa.select %1, %n, %0 : (tensor<4xi1>, tensor<1xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = quant.qcast %2 : tensor<4xf32> to tensor<4x!q>
  return %3 : tensor<4x!q>
}
