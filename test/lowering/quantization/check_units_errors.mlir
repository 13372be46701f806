// Each op that is in float is told once, all of them together, at their places in the user's source.
// RUN: not tosaic-opt %s --tosaic-check-units 2>&1 | filecheck %s

func.func @in_float(%x: tensor<2x3xf32>) -> tensor<2x3xf32> attributes {tosaic.units = {exp = "softmax", softmax = "softmax", tanh = "tanh"}} {
  // CHECK: 'softmax' at model.py:3: {{.*}}planned it in integers, but tosa.exp would run in float
  // CHECK-SAME: leave 'softmax' in float
  %0 = tosa.exp %x : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("softmax"("model.py":3:0))
  %1 = tosa.sin %0 : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("softmax"("model.py":3:0))
  // CHECK-NEXT: 'tanh' at model.py:4: {{.*}}planned it in integers, but tosa.tanh would run in float
  %2 = tosa.tanh %1 : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("tanh"("model.py":4:0))
  // CHECK-NEXT: 'exp' at model.py:5: {{.*}}planned it in integers as part of 'softmax', but tosa.exp
  %3 = tosa.exp %2 : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("exp"("model.py":5:0))
  return %3 : tensor<2x3xf32>
}
