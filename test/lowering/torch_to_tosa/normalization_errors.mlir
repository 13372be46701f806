// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-torch-to-tosa

func.func @training(%x: !torch.vtensor<[1,2,4,4],f32>) -> !torch.vtensor<[1,2,4,4],f32> {
  %none = torch.constant.none
  %true = torch.constant.bool true
  %zero = torch.constant.float 0.000000e+00
  // expected-error@below {{it is in training mode; call model.eval() before exporting}}
  %0 = torch.aten.batch_norm %x, %none, %none, %none, %none, %true, %zero, %zero, %true : !torch.vtensor<[1,2,4,4],f32>, !torch.none, !torch.none, !torch.none, !torch.none, !torch.bool, !torch.float, !torch.float, !torch.bool -> !torch.vtensor<[1,2,4,4],f32>
  return %0 : !torch.vtensor<[1,2,4,4],f32>
}
