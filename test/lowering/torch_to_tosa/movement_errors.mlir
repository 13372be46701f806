// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-torch-to-tosa

// All of a dynamic dim is fine; every second element of it is not.
func.func @step(%x: !torch.vtensor<[?,6],f32>) -> (!torch.vtensor<[?,6],f32>, !torch.vtensor<[?,6],f32>) {
  %none = torch.constant.none
  %int0 = torch.constant.int 0
  %int1 = torch.constant.int 1
  %int2 = torch.constant.int 2
  %0 = torch.aten.slice.Tensor %x, %int0, %int0, %none, %int1 : !torch.vtensor<[?,6],f32>, !torch.int, !torch.int, !torch.none, !torch.int -> !torch.vtensor<[?,6],f32>
  // expected-error@below {{a slice of a dynamic dim; specialise the shapes}}
  %1 = torch.aten.slice.Tensor %x, %int0, %none, %none, %int2 : !torch.vtensor<[?,6],f32>, !torch.int, !torch.none, !torch.none, !torch.int -> !torch.vtensor<[?,6],f32>
  return %0, %1 : !torch.vtensor<[?,6],f32>, !torch.vtensor<[?,6],f32>
}

// -----

func.func @crop(%x: !torch.vtensor<[2,?],f32>) -> !torch.vtensor<[2,?],f32> {
  %int-1 = torch.constant.int -1
  %int0 = torch.constant.int 0
  %zero = torch.constant.float 0.000000e+00
  %pads = torch.prim.ListConstruct %int-1, %int0 : (!torch.int, !torch.int) -> !torch.list<int>
  // expected-error@below {{negative padding of a dynamic dim; specialise the shapes}}
  %0 = torch.aten.constant_pad_nd %x, %pads, %zero : !torch.vtensor<[2,?],f32>, !torch.list<int>, !torch.float -> !torch.vtensor<[2,?],f32>
  return %0 : !torch.vtensor<[2,?],f32>
}
