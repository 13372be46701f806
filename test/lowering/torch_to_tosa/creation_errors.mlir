// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-torch-to-tosa

func.func @random(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  // expected-error@below {{it draws random numbers, and a compiled program computes the same every time}}
  %0 = torch.aten.rand_like %x, %none, %none, %none, %false, %none : !torch.vtensor<[4],f32>, !torch.none, !torch.none, !torch.none, !torch.bool, !torch.none -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}
