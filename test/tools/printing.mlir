// RUN: tosaic-opt %s --canonicalize --cse --mlir-print-ir-after-all 2>&1 | filecheck %s --check-prefix=AFTER
// AFTER: IR Dump After CanonicalizerPass: canonicalize
// AFTER: IR Dump After CSEPass: cse
// RUN: tosaic-opt %s --tosaic-torch-to-tosa --mlir-print-ir-before-all 2>&1 | filecheck %s --check-prefix=BEFORE
// BEFORE: IR Dump Before TorchToTosa: tosaic-torch-to-tosa
// RUN: tosaic-opt %s --cse --mlir-timing 2>&1 | filecheck %s --check-prefix=TIMING
// TIMING: Execution time report
// TIMING: CSE
// RUN: tosaic-opt %s --mlir-print-debuginfo | filecheck %s --check-prefix=LOC
// LOC: loc("{{.*}}printing.mlir":[[# @LINE + 6]]:8)
// RUN: tosaic-opt %s --mlir-print-op-generic | filecheck %s --check-prefix=GENERIC
// GENERIC: "tosa.abs"(%arg0)
// RUN: tosaic-opt %s --mlir-elide-elementsattrs-if-larger=1 | filecheck %s --check-prefix=ELIDE
// ELIDE: dense_resource<__elided__>
func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = tosa.abs %x : (tensor<2xf32>) -> tensor<2xf32>
  %1 = "tosa.const"() {values = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
