// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-torch-to-tosa

func.func @tens(%x: !torch.vtensor<[4],si32>) -> !torch.vtensor<[4],si32> {
  %tens = torch.constant.int -1
  // expected-error@below {{integers rounded to tens have no lowering; convert to float first}}
  %0 = torch.aten.round.decimals %x, %tens : !torch.vtensor<[4],si32>, !torch.int -> !torch.vtensor<[4],si32>
  return %0 : !torch.vtensor<[4],si32>
}
