// RUN: tosaic-opt %s --split-input-file --tosaic-drop-empty | filecheck %s

// Tensors without elements leave the signature; the names of the others stay with them.
// CHECK: func.func @main(%arg0: tensor<2xf32> {tosaic.name = "y"}) -> (tensor<2xf32> {tosaic.name = "c"})
// CHECK-NEXT: %[[C:.*]] = tosa.exp %arg0
// CHECK-NEXT: return %[[C]]
func.func @main(%x: tensor<0x3xf32> {tosaic.name = "x"}, %y: tensor<2xf32> {tosaic.name = "y"})
    -> (tensor<0x3xf32> {tosaic.name = "a"}, tensor<4x0xi32> {tosaic.name = "b"}, tensor<2xf32> {tosaic.name = "c"}) {
  %b = tensor.empty() : tensor<4x0xi32>
  %c = tosa.exp %y : (tensor<2xf32>) -> tensor<2xf32>
  return %x, %b, %c : tensor<0x3xf32>, tensor<4x0xi32>, tensor<2xf32>
}

// -----

// Where every tensor has elements, nothing changes.
// CHECK: func.func @kept(%arg0: tensor<1xf32>) -> tensor<1xf32>
// CHECK: return %arg0
func.func @kept(%x: tensor<1xf32>) -> tensor<1xf32> {
  return %x : tensor<1xf32>
}
