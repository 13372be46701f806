// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-torch-to-tosa

func.func @by_zero(%x: !torch.vtensor<[4],si32>) -> !torch.vtensor<[4],si32> {
  %int0 = torch.constant.int 0
  // expected-error@below {{it divides integers by zero, as PyTorch refuses to; convert to float}}
  %0 = torch.aten.remainder.Scalar %x, %int0 : !torch.vtensor<[4],si32>, !torch.int -> !torch.vtensor<[4],si32>
  return %0 : !torch.vtensor<[4],si32>
}
