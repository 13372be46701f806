// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-torch-to-tosa

func.func @dynamic(%x: !torch.vtensor<[1,3,?,?],f32>) -> !torch.vtensor<[1,3,1,1],f32> {
  %int1 = torch.constant.int 1
  %one = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  // expected-error@below {{an adaptive pool needs static sizes; specialise the shapes}}
  %0 = torch.aten.adaptive_avg_pool2d %x, %one : !torch.vtensor<[1,3,?,?],f32>, !torch.list<int> -> !torch.vtensor<[1,3,1,1],f32>
  return %0 : !torch.vtensor<[1,3,1,1],f32>
}
