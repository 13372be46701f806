// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-torch-to-tosa

func.func @by_zero(%x: !torch.vtensor<[4],si32>) -> !torch.vtensor<[4],si32> {
  %int0 = torch.constant.int 0
  // expected-error@below {{it divides integers by zero}}
  %0 = torch.aten.remainder.Scalar %x, %int0 : !torch.vtensor<[4],si32>, !torch.int -> !torch.vtensor<[4],si32>
  return %0 : !torch.vtensor<[4],si32>
}

// -----

func.func @unsigned(%x: !torch.vtensor<[4],ui8>, %y: !torch.vtensor<[4],ui8>) -> !torch.vtensor<[4],i1> {
  // expected-error@below {{TOSA has no arithmetic on uint8; convert to int32 in the model}}
  %0 = torch.aten.lt.Tensor %x, %y : !torch.vtensor<[4],ui8>, !torch.vtensor<[4],ui8> -> !torch.vtensor<[4],i1>
  return %0 : !torch.vtensor<[4],i1>
}

// -----

func.func @tens(%x: !torch.vtensor<[4],si32>) -> !torch.vtensor<[4],si32> {
  %tens = torch.constant.int -1
  // expected-error@below {{integers rounded to tens have no lowering; convert to float first}}
  %0 = torch.aten.round.decimals %x, %tens : !torch.vtensor<[4],si32>, !torch.int -> !torch.vtensor<[4],si32>
  return %0 : !torch.vtensor<[4],si32>
}

// -----

func.func @random(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  // expected-error@below {{it draws random numbers, and a compiled program computes the same every time}}
  %0 = torch.aten.rand_like %x, %none, %none, %none, %false, %none : !torch.vtensor<[4],f32>, !torch.none, !torch.none, !torch.none, !torch.bool, !torch.none -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}
