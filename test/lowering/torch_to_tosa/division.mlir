// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// Small integers are divided in i32.
// CHECK: func.func @floor_divide
// CHECK: tosa.cast {{.*}} -> tensor<4xi32>
// CHECK: tosa.intdiv
// CHECK: tosa.cast {{.*}} -> tensor<4xi8>
func.func @floor_divide(%x: !torch.vtensor<[4],si8>, %y: !torch.vtensor<[4],si8>) -> !torch.vtensor<[4],si8> {
  %0 = torch.aten.floor_divide %x, %y : !torch.vtensor<[4],si8>, !torch.vtensor<[4],si8> -> !torch.vtensor<[4],si8>
  return %0 : !torch.vtensor<[4],si8>
}
