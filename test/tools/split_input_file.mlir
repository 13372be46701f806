// Each part is a module of its own: both may define @f, and the output can be split again.
// RUN: tosaic-opt %s --split-input-file --canonicalize | filecheck %s
// RUN: tosaic-opt %s --split-input-file | tosaic-opt --split-input-file --canonicalize | filecheck %s

// Without the flag it is one module that defines @f twice.
// RUN: not tosaic-opt %s 2>&1 | filecheck %s --check-prefix=ONE

// CHECK:       func.func @f
// CHECK-NEXT:    return %arg0
// CHECK:       // -----
// CHECK:       func.func @f
// CHECK-NEXT:    tosa.abs
// CHECK-NOT:     tosa.abs

// ONE: split_input_file.mlir:[[# @LINE + 8]]:1: error: redefinition of symbol named 'f'
func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
  %unused = tosa.abs %x : (tensor<2xf32>) -> tensor<2xf32>
  return %x : tensor<2xf32>
}

// -----

func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = tosa.abs %x : (tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
