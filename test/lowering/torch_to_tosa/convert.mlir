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
