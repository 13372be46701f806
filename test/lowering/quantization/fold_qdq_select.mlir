// RUN: tosaic-opt %s --split-input-file --tosaic-fold-qdq | filecheck %s

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i8:f32, 0.25:-1>

// Both branches get the result's parameters; 1.0 is 4 steps of 0.25 above -1.
// CHECK: func.func @choice
// CHECK-DAG: tosa.rescale {{.*}} -> tensor<4xi8>
// CHECK-DAG: values = dense<3> : tensor<1xi8>
// CHECK: tosa.select {{.*}}(tensor<4xi1>, tensor<4xi8>, tensor<1xi8>) -> tensor<4xi8>
func.func @choice(%c: tensor<4xi1>, %x: tensor<4x!x>) -> tensor<4x!y> {
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = "tosa.const"() {values = dense<1.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %2 = tosa.select %c, %0, %1 : (tensor<4xi1>, tensor<4xf32>, tensor<1xf32>) -> tensor<4xf32>
  %3 = quant.qcast %2 : tensor<4xf32> to tensor<4x!y>
  return %3 : tensor<4x!y>
}

// -----

!y = !quant.uniform<i8:f32, 0.25:-1>

// Integers are values with a step of 1.
// CHECK: func.func @cast
// CHECK: tosa.cast {{.*}} -> tensor<4xi32>
// CHECK: tosa.rescale {{.*}} -> tensor<4xi8>
func.func @cast(%c: tensor<4xi8>) -> tensor<4x!y> {
  %0 = tosa.cast %c : (tensor<4xi8>) -> tensor<4xf32>
  %1 = quant.qcast %0 : tensor<4xf32> to tensor<4x!y>
  return %1 : tensor<4x!y>
}
