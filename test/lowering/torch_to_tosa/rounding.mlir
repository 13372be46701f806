// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// Truncation keeps the sign of zero: down above 0, up below.
// CHECK: func.func @trunc
// CHECK: %[[X:.*]] = torch_c.to_builtin_tensor
// CHECK-DAG: %[[UP:.*]] = tosa.ceil %[[X]]
// CHECK-DAG: %[[DOWN:.*]] = tosa.floor %[[X]]
// CHECK: tosa.select %{{.*}}, %[[UP]], %[[DOWN]]
func.func @trunc(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %0 = torch.aten.trunc %x : !torch.vtensor<[4],f32> -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}

// -----

// Integers are whole already.
// CHECK: func.func @trunc_integer
// CHECK-NOT: tosa.
func.func @trunc_integer(%x: !torch.vtensor<[4],si32>) -> !torch.vtensor<[4],si32> {
  %0 = torch.aten.trunc %x : !torch.vtensor<[4],si32> -> !torch.vtensor<[4],si32>
  return %0 : !torch.vtensor<[4],si32>
}

// -----

// CHECK: func.func @isnan
// CHECK: %[[SAME:.*]] = tosa.equal %[[X:.*]], %[[X]]
// CHECK: tosa.logical_not %[[SAME]]
func.func @isnan(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],i1> {
  %0 = torch.aten.isnan %x : !torch.vtensor<[4],f32> -> !torch.vtensor<[4],i1>
  return %0 : !torch.vtensor<[4],i1>
}
