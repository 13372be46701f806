// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa | filecheck %s

// Torch values cross over by casts that a later pass removes; constants that nothing reads any
// more, and sizes that only they read, are gone.
// CHECK: func.func @unread
// CHECK-NEXT: %[[X:.*]] = torch_c.to_builtin_tensor %arg0 : !torch.vtensor<[?,2,3],f32> -> tensor<?x2x3xf32>
// CHECK-NEXT: tosa.const_shape {values = dense<[-1, 6]>
// CHECK-NEXT: %[[Y:.*]] = tosa.reshape %[[X]]
// CHECK-NEXT: torch_c.from_builtin_tensor %[[Y]] : tensor<?x6xf32> -> !torch.vtensor<[?,6],f32>
// CHECK-NEXT: return
func.func @unread(%x: !torch.vtensor<[?,2,3],f32>) -> !torch.vtensor<[?,6],f32> {
  %int0 = torch.constant.int 0
  %int-1 = torch.constant.int -1
  %n = torch.aten.size.int %x, %int0 : !torch.vtensor<[?,2,3],f32>, !torch.int -> !torch.int
  %shape = torch.prim.ListConstruct %n, %int-1 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.view %x, %shape : !torch.vtensor<[?,2,3],f32>, !torch.list<int> -> !torch.vtensor<[?,6],f32>
  return %0 : !torch.vtensor<[?,6],f32>
}

// -----

// Locations come along.
// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --mlir-print-debuginfo | filecheck %s --check-prefix=LOC
// LOC: tosa.abs {{.*}} loc(#[[ABS:loc[0-9]+]])
// LOC: #[[FILE:loc[0-9]+]] = loc("net.py":7:0)
// LOC: #[[ABS]] = loc("abs_1"(#[[FILE]]))
func.func @located(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %0 = torch.aten.abs %x : !torch.vtensor<[4],f32> -> !torch.vtensor<[4],f32> loc("abs_1"("net.py":7:0))
  return %0 : !torch.vtensor<[4],f32>
}

// -----

// What has no elements is not computed: TOSA has no such tensors.
// CHECK: func.func @without_elements
// CHECK-NOT: tosa.exp
// CHECK: tensor.empty() : tensor<0x3xf32>
func.func @without_elements(%x: !torch.vtensor<[0,3],f32>) -> !torch.vtensor<[0,3],f32> {
  %0 = torch.aten.exp %x : !torch.vtensor<[0,3],f32> -> !torch.vtensor<[0,3],f32>
  return %0 : !torch.vtensor<[0,3],f32>
}

// -----

// A sum of nothing is 0, and a join with nothing is the rest.
// CHECK: func.func @of_nothing
// CHECK: tosa.add
// CHECK-NOT: tosa.reduce_sum
// CHECK-NOT: tosa.concat
func.func @of_nothing(%x: !torch.vtensor<[0,3],f32>, %y: !torch.vtensor<[2,3],f32>) -> !torch.vtensor<[2,3],f32> {
  %int0 = torch.constant.int 0
  %int1 = torch.constant.int 1
  %none = torch.constant.none
  %false = torch.constant.bool false
  %dims = torch.prim.ListConstruct %int0 : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.sum.dim_IntList %x, %dims, %false, %none : !torch.vtensor<[0,3],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[3],f32>
  %1 = torch.prim.ListConstruct %x, %y : (!torch.vtensor<[0,3],f32>, !torch.vtensor<[2,3],f32>) -> !torch.list<vtensor>
  %2 = torch.aten.cat %1, %int0 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,3],f32>
  %3 = torch.aten.add.Tensor %2, %0, %int1 : !torch.vtensor<[2,3],f32>, !torch.vtensor<[3],f32>, !torch.int -> !torch.vtensor<[2,3],f32>
  return %3 : !torch.vtensor<[2,3],f32>
}
