// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-torch-to-tosa

// With a stride, what is left over at the end depends on the size.
func.func @dynamic(%x: !torch.vtensor<[1,3,?,6],f32>, %w: !torch.vtensor<[8,3,3,3],f32>, %b: !torch.vtensor<[8],f32>) -> !torch.vtensor<[1,8,?,3],f32> {
  %int1 = torch.constant.int 1
  %int2 = torch.constant.int 2
  %one = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  %two = torch.prim.ListConstruct %int2, %int2 : (!torch.int, !torch.int) -> !torch.list<int>
  // expected-error@below {{windows with a stride need a static size; specialise the shapes}}
  %0 = torch.aten.conv2d %x, %w, %b, %two, %one, %one, %int1 : !torch.vtensor<[1,3,?,6],f32>, !torch.vtensor<[8,3,3,3],f32>, !torch.vtensor<[8],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.int -> !torch.vtensor<[1,8,?,3],f32>
  return %0 : !torch.vtensor<[1,8,?,3],f32>
}
