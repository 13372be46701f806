// Errors of tosaic's own passes (raised in Python) are reported and verified like MLIR's, all at once.
// RUN: tosaic-opt %s --tosaic-torch-to-tosa --verify-diagnostics
// RUN: not tosaic-opt %s --tosaic-torch-to-tosa 2>&1 | filecheck %s

// CHECK: error: 2 ops of the model cannot be lowered to TOSA
// CHECK: pass_errors.mlir:[[# @LINE + 4]]:8: error: {{.*}}aten.logdet
// CHECK: pass_errors.mlir:[[# @LINE + 5]]:8: error: {{.*}}aten.logdet
func.func @main(%x: !torch.vtensor<[4,4],f32>) -> (!torch.vtensor<[],f32>, !torch.vtensor<[],f32>) {
  // expected-error@+1 {{aten.logdet}}
  %0 = torch.operator "torch.aten.logdet"(%x) : (!torch.vtensor<[4,4],f32>) -> !torch.vtensor<[],f32>
  // expected-error@+1 {{aten.logdet}}
  %1 = torch.operator "torch.aten.logdet"(%x) : (!torch.vtensor<[4,4],f32>) -> !torch.vtensor<[],f32>
  return %0, %1 : !torch.vtensor<[],f32>, !torch.vtensor<[],f32>
}
