// RUN: tosaic-opt %s --tosaic-boolean-io | filecheck %s

// CHECK-LABEL: @masked
// CHECK-SAME: %[[C:.*]]: tensor<4xi8> {tosaic.qtype = !quant.uniform<i8:f32, 1.000000e+00>}
// CHECK-SAME: -> (tensor<4xi8> {tosaic.qtype = !quant.uniform<i8:f32, 1.000000e+00>})
// CHECK: tosa.cast %[[C]] : (tensor<4xi8>) -> tensor<4xi1>
// CHECK: tosa.cast {{.*}} : (tensor<4xi1>) -> tensor<4xi8>
func.func @masked(%c: tensor<4xi1>) -> tensor<4xi1> {
  %0 = tosa.logical_not %c : (tensor<4xi1>) -> tensor<4xi1>
  return %0 : tensor<4xi1>
}

// CHECK-LABEL: @no_booleans(%{{.*}}: tensor<4xi8>) -> tensor<4xi8>
func.func @no_booleans(%x: tensor<4xi8>) -> tensor<4xi8> {
  return %x : tensor<4xi8>
}
