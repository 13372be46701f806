// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-torch-to-tosa

// Every op without a lowering is reported, in program order.
func.func @unknown(%x: !torch.vtensor<[4,4],f32>) -> !torch.vtensor<[],f32> {
  // expected-error@below {{aten.linalg_det(tensor<[4,4],f32>) has no lowering. Rewrite the model without it, or add a lowering}}
  %0 = torch.aten.linalg_det %x : !torch.vtensor<[4,4],f32> -> !torch.vtensor<[],f32>
  // expected-error@below {{mylib.my_op(tensor<[],f32>) has no lowering}}
  %1 = torch.operator "mylib.my_op"(%0) : (!torch.vtensor<[],f32>) -> !torch.vtensor<[],f32>
  return %1 : !torch.vtensor<[],f32>
}

// -----

// One that nothing reads is no problem.
func.func @unread(%x: !torch.vtensor<[4,4],f32>) -> !torch.vtensor<[4,4],f32> {
  %0 = torch.aten.linalg_det %x : !torch.vtensor<[4,4],f32> -> !torch.vtensor<[],f32>
  return %x : !torch.vtensor<[4,4],f32>
}

// -----

// A form of a known op that its lowering refuses.
func.func @refused(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %p = torch.constant.float 5.000000e-01
  %true = torch.constant.bool true
  // expected-error@below {{aten.dropout(tensor<[4],f32>) is not supported: it is in training mode; call model.eval() before exporting}}
  %0 = torch.aten.dropout %x, %p, %true : !torch.vtensor<[4],f32>, !torch.float, !torch.bool -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}

// -----

// A dynamic size is told of where it is in the way, not where it is read.
func.func @dynamic(%x: !torch.vtensor<[?,4],f32>) -> !torch.vtensor<[?,1],f32> {
  %int0 = torch.constant.int 0
  %int1 = torch.constant.int 1
  %none = torch.constant.none
  %n = torch.aten.size.int %x, %int0 : !torch.vtensor<[?,4],f32>, !torch.int -> !torch.int
  %shape = torch.prim.ListConstruct %n, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  // expected-error@below {{aten.zeros() is not supported: its shape has a dynamic dim; specialise the shapes}}
  %0 = torch.aten.zeros %shape, %none, %none, %none, %none : !torch.list<int>, !torch.none, !torch.none, !torch.none, !torch.none -> !torch.vtensor<[?,1],f32>
  return %0 : !torch.vtensor<[?,1],f32>
}

// -----

// A number that the model returns is told of itself.
func.func @number(%x: !torch.vtensor<[?,4],f32>) -> !torch.int {
  %int0 = torch.constant.int 0
  // expected-error@below {{aten.size.int(tensor<[?,4],f32>) is a number that is known only when the model runs}}
  %n = torch.aten.size.int %x, %int0 : !torch.vtensor<[?,4],f32>, !torch.int -> !torch.int
  return %n : !torch.int
}
