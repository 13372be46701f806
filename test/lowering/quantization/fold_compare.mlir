// RUN: tosaic-opt %s --split-input-file --tosaic-fold-compare | filecheck %s

!x = !quant.uniform<i8:f32, 0.5:3>

// x > 0.7 is n > 1 in steps of 0.5: 1 * 0.5 is not more than 0.7, 2 * 0.5 is.
// CHECK: func.func @constant
// CHECK: values = dense<1> : tensor<1xi32>
// CHECK: tosa.rescale {{.*}} -> tensor<4xi32>
// CHECK: tosa.greater {{.*}}(tensor<4xi32>, tensor<1xi32>) -> tensor<4xi1>
func.func @constant(%x: tensor<4x!x>) -> tensor<4xi1> {
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = "tosa.const"() {values = dense<0.7> : tensor<1xf32>} : () -> tensor<1xf32>
  %2 = tosa.greater %0, %1 : (tensor<4xf32>, tensor<1xf32>) -> tensor<4xi1>
  return %2 : tensor<4xi1>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>

// 0.7 is no multiple of 0.5: never equal, so neither is the integer it becomes.
// CHECK: func.func @never
// CHECK: values = dense<16777216> : tensor<1xi32>
// CHECK: tosa.equal
func.func @never(%x: tensor<4x!x>) -> tensor<4xi1> {
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = "tosa.const"() {values = dense<0.7> : tensor<1xf32>} : () -> tensor<1xf32>
  %2 = tosa.equal %0, %1 : (tensor<4xf32>, tensor<1xf32>) -> tensor<4xi1>
  return %2 : tensor<4xi1>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i8:f32, 0.3:-1>

// Two scales: one unit, 2**20 times finer than the larger.
// CHECK: func.func @tensors
// CHECK-COUNT-2: tosa.rescale {{.*}} -> tensor<4xi32>
// CHECK: tosa.greater_equal {{.*}}(tensor<4xi32>, tensor<4xi32>) -> tensor<4xi1>
func.func @tensors(%x: tensor<4x!x>, %y: tensor<4x!y>) -> tensor<4xi1> {
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = quant.dcast %y : tensor<4x!y> to tensor<4xf32>
  %2 = tosa.greater_equal %0, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>
  return %2 : tensor<4xi1>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>

// CHECK: func.func @argmax
// CHECK-NOT: quant.dcast
// CHECK: tosa.argmax {{.*}}(tensor<2x4xi8>) -> tensor<2xi32>
func.func @argmax(%x: tensor<2x4x!x>) -> tensor<2xi32> {
  %0 = quant.dcast %x : tensor<2x4x!x> to tensor<2x4xf32>
  %1 = tosa.argmax %0 {axis = 1 : i32} : (tensor<2x4xf32>) -> tensor<2xi32>
  return %1 : tensor<2xi32>
}

// -----

// Floats are none of this pass's business.
// CHECK: func.func @float
// CHECK: tosa.greater {{.*}}(tensor<4xf32>, tensor<4xf32>)
func.func @float(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xi1> {
  %0 = tosa.greater %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>
  return %0 : tensor<4xi1>
}
