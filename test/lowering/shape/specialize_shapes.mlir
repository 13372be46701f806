// RUN: tosaic-opt %s --split-input-file --tosaic-specialize-shapes=dims=s0:4 | filecheck %s
// RUN: tosaic-opt %s --split-input-file --tosaic-specialize-shapes=dims=x.0:4 | filecheck %s
// RUN: not tosaic-opt %s --tosaic-specialize-shapes=dims=s0 2>&1 | filecheck %s --check-prefix=TEXT
// TEXT: 's0' is not SYMBOL:SIZE, ARGUMENT.DIM:SIZE or ARGUMENT:SHAPE

// torch dialect: a size that the model reads is folded, every type follows, the attribute goes.
// CHECK: func.func @view(%arg0: !torch.vtensor<[4,3,2],f32> {tosaic.name = "x"}) -> !torch.vtensor<[4,6],f32>
// CHECK-NOT: torch.aten.size.int
// CHECK: torch.prim.ListConstruct %int4, %int-1
// CHECK: torch.aten.view {{.*}} -> !torch.vtensor<[4,6],f32>
func.func @view(%x: !torch.vtensor<[?,3,2],f32> {tosaic.name = "x", tosaic.dims = ["s0:2..16", "3", "2"]}) -> !torch.vtensor<[?,6],f32> {
  %int0 = torch.constant.int 0
  %int-1 = torch.constant.int -1
  %n = torch.aten.size.int %x, %int0 : !torch.vtensor<[?,3,2],f32>, !torch.int -> !torch.int
  %shape = torch.prim.ListConstruct %n, %int-1 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.view %x, %shape : !torch.vtensor<[?,3,2],f32>, !torch.list<int> -> !torch.vtensor<[?,6],f32>
  return %0 : !torch.vtensor<[?,6],f32>
}

// -----

// One symbol gives several dims, here 4, 4*2 and 4+1; TOSA is inferred as tosaic-infer-shapes does.
// CHECK: func.func @expressions(%arg0: tensor<4x3xf32> {tosaic.name = "x"}, %arg1: tensor<8x5xf32> {tosaic.name = "y"}) -> (tensor<3x4xf32>, tensor<40xf32>)
// CHECK: tosa.const_shape {values = dense<40>
func.func @expressions(%x: tensor<?x3xf32> {tosaic.name = "x", tosaic.dims = ["s0:2..16", "3"]},
                       %y: tensor<?x?xf32> {tosaic.name = "y", tosaic.dims = ["2*s0:4..32", "s0 + 1:3..17"]}) -> (tensor<3x?xf32>, tensor<?xf32>) {
  %0 = tosa.transpose %x {perms = array<i32: 1, 0>} : (tensor<?x3xf32>) -> tensor<3x?xf32>
  %s = tosa.const_shape {values = dense<[-1]> : tensor<1xindex>} : () -> !tosa.shape<1>
  %1 = tosa.reshape %y, %s : (tensor<?x?xf32>, !tosa.shape<1>) -> tensor<?xf32>
  return %0, %1 : tensor<3x?xf32>, tensor<?xf32>
}

// -----

// Shape functions do not see into lists, so what splits becomes slices first.
// CHECK: func.func @split
// CHECK-NOT: torch.aten.split
// CHECK: torch.aten.slice.Tensor {{.*}} -> !torch.vtensor<[4,2],f32>
func.func @split(%x: !torch.vtensor<[?,6],f32> {tosaic.name = "x", tosaic.dims = ["s0:2..16", "6"]}) -> !torch.vtensor<[?,2],f32> {
  %int1 = torch.constant.int 1
  %int2 = torch.constant.int 2
  %list = torch.aten.split.Tensor %x, %int2, %int1 : !torch.vtensor<[?,6],f32>, !torch.int, !torch.int -> !torch.list<vtensor<[?,2],f32>>
  %0:3 = torch.prim.ListUnpack %list : !torch.list<vtensor<[?,2],f32>> -> !torch.vtensor<[?,2],f32>, !torch.vtensor<[?,2],f32>, !torch.vtensor<[?,2],f32>
  return %0#1 : !torch.vtensor<[?,2],f32>
}
