// A problem that no comment expects, a comment that no problem meets, and a wrong kind are errors.
// RUN: not tosaic-opt %s --split-input-file --verify-diagnostics 2>&1 | filecheck %s

// CHECK: fails.mlir:[[# @LINE + 2]]:8: error: unexpected error: 'tosa.add' op operands don't have
func.func @unexpected(%x: tensor<4xf32>, %y: tensor<5xf32>) -> tensor<4xf32> {
  %0 = tosa.add %x, %y : (tensor<4xf32>, tensor<5xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// CHECK: fails.mlir:[[# @LINE + 1]]: error: expected error "no such thing" was not produced
// expected-error@+1 {{no such thing}}
func.func private @missing()

// -----

// CHECK: fails.mlir:[[# @LINE + 2]]: error: 'error' diagnostic emitted when expecting a 'warning'
func.func @kind(%x: tensor<4xf32>, %y: tensor<5xf32>) -> tensor<4xf32> {
  // expected-warning@+1 {{broadcast-compatible}}
  %0 = tosa.add %x, %y : (tensor<4xf32>, tensor<5xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
