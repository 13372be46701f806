// RUN: tosaic-opt %s --tosaic-gather-by-product | filecheck %s

// CHECK-LABEL: @table
// CHECK: tosa.sub {{.*}} -> tensor<1x3x5xi32>
// CHECK: tosa.abs
// CHECK: tosa.minimum
// CHECK: tosa.rescale {{.*}} -> tensor<1x3x5xi8>
// CHECK: tosa.conv2d {{.*}}, tensor<4x1x1x5xi8>
// CHECK: tosa.rescale {{.*}} -> tensor<1x1x3x4xi8>
func.func @table(%i: tensor<1x3xi32>) -> tensor<1x3x4xi8> {
  %t = "tosa.const"() <{values = dense<2> : tensor<1x5x4xi8>}> : () -> tensor<1x5x4xi8>
  %0 = tosa.gather %t, %i : (tensor<1x5x4xi8>, tensor<1x3xi32>) -> tensor<1x3x4xi8>
  return %0 : tensor<1x3x4xi8>
}

// What is computed is multiplied with.
// CHECK-LABEL: @computed
// CHECK: tosa.matmul
func.func @computed(%t: tensor<2x5x4xi8>, %i: tensor<2x3xi32>) -> tensor<2x3x4xi8> {
  %0 = tosa.gather %t, %i : (tensor<2x5x4xi8>, tensor<2x3xi32>) -> tensor<2x3x4xi8>
  return %0 : tensor<2x3x4xi8>
}

// CHECK-LABEL: @wide
// CHECK: tosa.gather
func.func @wide(%t: tensor<2x5x4xi16>, %i: tensor<2x3xi32>) -> tensor<2x3x4xi16> {
  %0 = tosa.gather %t, %i : (tensor<2x5x4xi16>, tensor<2x3xi32>) -> tensor<2x3x4xi16>
  return %0 : tensor<2x3x4xi16>
}
