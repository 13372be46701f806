// RUN: tosaic-opt %s --tosaic-booleans-by-arithmetic --canonicalize --split-input-file | filecheck %s

// Rescaled int8 has a difference that fits int32; what selects is then 0 or 1.
// CHECK-LABEL: @choose
// CHECK: %[[D:.*]] = tosa.sub %[[X:.*]], %[[Y:.*]] : (tensor<2x4xi32>, tensor<2x4xi32>)
// CHECK: %[[L:.*]] = tosa.maximum %[[D]], {{.*}}
// CHECK: %[[M:.*]] = tosa.minimum %[[L]], {{.*}}
// CHECK: %[[CX:.*]] = tosa.mul %[[M]], {{.*}}
// CHECK: %[[N:.*]] = tosa.sub {{.*}}, %[[M]]
// CHECK: %[[CY:.*]] = tosa.mul %[[N]], {{.*}}
// CHECK: %[[S:.*]] = tosa.add %[[CX]], %[[CY]]
// CHECK: tosa.rescale %[[S]], {{.*}} -> tensor<2x4xi8>
func.func @choose(%x: tensor<2x4xi8>, %y: tensor<2x4xi8>) -> tensor<2x4xi8> {
  %m = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
  %s = "tosa.const"() <{values = dense<30> : tensor<1xi8>}> : () -> tensor<1xi8>
  %z = "tosa.const"() <{values = dense<3> : tensor<1xi8>}> : () -> tensor<1xi8>
  %o = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %0 = tosa.rescale %x, %m, %s, %z, %o {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<2x4xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<2x4xi32>
  %1 = tosa.rescale %y, %m, %s, %z, %o {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<2x4xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi32>) -> tensor<2x4xi32>
  %2 = tosa.greater %0, %1 : (tensor<2x4xi32>, tensor<2x4xi32>) -> tensor<2x4xi1>
  %3 = tosa.select %2, %x, %y : (tensor<2x4xi1>, tensor<2x4xi8>, tensor<2x4xi8>) -> tensor<2x4xi8>
  return %3 : tensor<2x4xi8>
}

// -----

// Any two int32 are compared by their quarters first.
// CHECK-LABEL: @any_integers
// CHECK-COUNT-2: tosa.arithmetic_right_shift
// CHECK-NOT: i1>
func.func @any_integers(%x: tensor<4xi32>, %y: tensor<4xi32>) -> tensor<4xi32> {
  %0 = tosa.equal %x, %y : (tensor<4xi32>, tensor<4xi32>) -> tensor<4xi1>
  %1 = tosa.cast %0 : (tensor<4xi1>) -> tensor<4xi32>
  return %1 : tensor<4xi32>
}

// -----

// A boolean of the caller's is not a known 0 or 1.
// CHECK-LABEL: @given
// CHECK: tosa.select
func.func @given(%c: tensor<4xi1>, %x: tensor<4xi8>, %y: tensor<4xi8>) -> tensor<4xi8> {
  %0 = tosa.select %c, %x, %y : (tensor<4xi1>, tensor<4xi8>, tensor<4xi8>) -> tensor<4xi8>
  return %0 : tensor<4xi8>
}
