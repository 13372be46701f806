// text -> flatbuffer -> text -> bytecode -> flatbuffer: the same program, and the same bytes.
// RUN: tosaic-translate %s -o %t.tosa
// RUN: tosaic-translate %t.tosa -o %t.mlir && filecheck %s --input-file %t.mlir
// RUN: tosaic-translate %t.mlir -o %t.mlirbc && tosaic-translate %t.mlirbc -o %t.2.tosa
// RUN: tosaic-translate %t.2.tosa -o %t.2.mlir && filecheck %s --input-file %t.2.mlir

// CHECK: func.func @main
// CHECK:   tosa.abs
func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = tosa.abs %x : (tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
