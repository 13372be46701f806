// Sizes behind FUNCTION/ are for one function.
// RUN: tosaic-opt %s --tosaic-specialize-shapes=dims=a/x.0:2,b/x.0:5 | filecheck %s

// CHECK-LABEL: func.func @a
// CHECK-SAME: tensor<2x3xf32>
// CHECK: tosa.abs {{.*}} -> tensor<2x3xf32>
func.func @a(%x: tensor<?x3xf32> {tosaic.name = "x"}) -> tensor<?x3xf32> {
  %0 = tosa.abs %x : (tensor<?x3xf32>) -> tensor<?x3xf32>
  return %0 : tensor<?x3xf32>
}

// CHECK-LABEL: func.func @b
// CHECK-SAME: tensor<5x3xf32>
func.func @b(%x: tensor<?x3xf32> {tosaic.name = "x"}) -> tensor<?x3xf32> {
  return %x : tensor<?x3xf32>
}

// CHECK-LABEL: func.func @fixed
// CHECK-SAME: tensor<4xf32>
func.func @fixed(%x: tensor<4xf32> {tosaic.name = "x"}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
