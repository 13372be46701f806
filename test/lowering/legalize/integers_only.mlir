// RUN: not tosaic-opt %s --tosaic-check-integers --split-input-file 2>&1 | filecheck %s

// An op of the model is reported once, however many it became.
// CHECK: Some ops compute in float, which the target does not.
// CHECK-NEXT: 'atan2' at model.py:7: error: it is not quantised ('tosaic explain' says why).
// CHECK-NOT: 'atan2'
func.func @float(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = tosa.reciprocal %x : (tensor<4xf32>) -> tensor<4xf32> loc("atan2"("model.py":7:0))
  %1 = tosa.sin %0 : (tensor<4xf32>) -> tensor<4xf32> loc("atan2"("model.py":7:0))
  return %1 : tensor<4xf32>
}

// -----

// A constant is one where it is a result.
// CHECK: 'ones' at model.py:9
// CHECK-NOT: 'twos'
func.func @constants() -> tensor<1xf32> {
  %0 = "tosa.const"() <{values = dense<1.0> : tensor<1xf32>}> : () -> tensor<1xf32> loc("ones"("model.py":9:0))
  %1 = "tosa.const"() <{values = dense<2.0> : tensor<1xf32>}> : () -> tensor<1xf32> loc("twos"("model.py":9:0))
  return %0 : tensor<1xf32>
}

// -----

// CHECK-NOT: 'add'
func.func @integers(%x: tensor<4xi32>) -> tensor<4xi32> {
  %0 = tosa.add %x, %x : (tensor<4xi32>, tensor<4xi32>) -> tensor<4xi32> loc("add"("model.py":11:0))
  return %0 : tensor<4xi32>
}
