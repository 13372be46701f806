// RUN: tosaic-opt %s --split-input-file --tosaic-dedupe-const-shape | filecheck %s
// RUN: tosaic-opt %s --split-input-file --canonicalize --tosaic-dedupe-const-shape | filecheck %s --check-prefix=REGIONS
// RUN: tosaic-opt %s --split-input-file --tosaic-dedupe-const-shape --mlir-print-debuginfo | filecheck %s --check-prefix=LOC

// One of each, at the start, with the locations of both. Another type is another constant.
// CHECK: func.func @merge
// CHECK-NEXT: %[[ZERO:.*]] = "tosa.const"() <{values = dense<0> : tensor<1xi8>}>
// CHECK-NEXT: %[[OTHER:.*]] = "tosa.const"() <{values = dense<0> : tensor<1x1xi8>}>
// CHECK-NEXT: tosa.negate %arg0, %[[ZERO]], %[[ZERO]]
// CHECK-NEXT: tosa.add %{{.*}}, %[[OTHER]]
// LOC: "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8> loc(#[[LOC:loc[0-9]+]])
// LOC: #[[LOC]] = loc(fused[
func.func @merge(%x: tensor<2x3xi8>) -> tensor<2x3xi8> {
  %a = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.negate %x, %a, %b : (tensor<2x3xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<2x3xi8>
  %c = "tosa.const"() {values = dense<0> : tensor<1x1xi8>} : () -> tensor<1x1xi8>
  %1 = tosa.add %0, %c : (tensor<2x3xi8>, tensor<1x1xi8>) -> tensor<2x3xi8>
  return %1 : tensor<2x3xi8>
}

// -----

// TOSA's regions are isolated: each has its own, also where canonicalize had moved them out.
// REGIONS: func.func @regions
// REGIONS-NEXT: tosa.cond_if
// REGIONS: tosa.const_shape
// REGIONS: else
// REGIONS: tosa.const_shape
func.func @regions(%x: tensor<2x3xf32>, %c: tensor<i1>) -> tensor<6xf32> {
  %0 = tosa.cond_if %c (%arg1 = %x) : tensor<i1> (tensor<2x3xf32>) -> tensor<6xf32> {
  ^bb0(%y: tensor<2x3xf32>):
    %s = tosa.const_shape {values = dense<[6]> : tensor<1xindex>} : () -> !tosa.shape<1>
    %1 = tosa.reshape %y, %s : (tensor<2x3xf32>, !tosa.shape<1>) -> tensor<6xf32>
    tosa.yield %1 : tensor<6xf32>
  } else {
  ^bb0(%y: tensor<2x3xf32>):
    %s = tosa.const_shape {values = dense<[6]> : tensor<1xindex>} : () -> !tosa.shape<1>
    %1 = tosa.abs %y : (tensor<2x3xf32>) -> tensor<2x3xf32>
    %2 = tosa.reshape %1, %s : (tensor<2x3xf32>, !tosa.shape<1>) -> tensor<6xf32>
    tosa.yield %2 : tensor<6xf32>
  }
  return %0 : tensor<6xf32>
}
