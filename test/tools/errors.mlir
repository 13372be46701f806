// An error inside the input is file:line:col, the message, and the line with a caret.
// RUN: not tosaic-opt %s 2>&1 | filecheck %s
// RUN: not tosaic-opt < %s 2>&1 | filecheck %s --check-prefix=STDIN
// RUN: not tosaic-opt %s -o %t.out --cse 2>/dev/null
// RUN: not test -e %t.out

// CHECK: errors.mlir:[[# @LINE + 7]]:8: error: 'tosa.add' op operands don't have broadcast-compatible shapes
// CHECK-NEXT: {{^}}  %0 = tosa.add
// CHECK-NEXT: {{^}}       ^
// CHECK-NOT: Traceback
// CHECK-NOT: error
// STDIN: <stdin>:[[# @LINE + 2]]:8: error: 'tosa.add' op
func.func @f(%x: tensor<4xf32>, %y: tensor<5xf32>) -> tensor<4xf32> {
  %0 = tosa.add %x, %y : (tensor<4xf32>, tensor<5xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
