// The pipeline that flags make prints as text, and the text gives the same pipeline back.
// RUN: tosaic-opt --canonicalize=max-iterations=3 -cse --tosa-infer-shapes --dump-pass-pipeline | filecheck %s --check-prefix=FLAGS
// RUN: tosaic-opt --pass-pipeline='builtin.module(canonicalize{max-iterations=3},cse,func.func(tosa-infer-shapes))' --dump-pass-pipeline | filecheck %s --check-prefix=FLAGS
// FLAGS: builtin.module(canonicalize{max-iterations=3},cse,func.func(tosa-infer-shapes))

// A tosaic pass keeps its place between upstream ones, and --dump-pass-pipeline reads no input.
// RUN: tosaic-opt %s.missing --cse --tosaic-torch-to-tosa --canonicalize --dump-pass-pipeline | filecheck %s --check-prefix=MIXED
// MIXED: builtin.module(cse,tosaic-torch-to-tosa,canonicalize)

// No pass at all is a pipeline too: the module is parsed, verified and printed.
// RUN: tosaic-opt %s | filecheck %s
// RUN: tosaic-opt < %s | filecheck %s
// RUN: tosaic-opt - < %s | filecheck %s
// RUN: tosaic-opt %s --emit-bytecode -o %t.mlirbc && tosaic-opt %t.mlirbc | filecheck %s
// RUN: tosaic-opt %s -o %t.mlir && tosaic-opt %t.mlir | filecheck %s
// CHECK: func.func @f
// CHECK:   tosa.abs
func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = tosa.abs %x : (tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
