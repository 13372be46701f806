// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa | filecheck %s

// Floats become integers towards zero, as PyTorch fills.
// CHECK: func.func @full
// CHECK: values = dense<2> : tensor<2x3xi32>
func.func @full() -> !torch.vtensor<[2,3],si32> {
  %two = torch.constant.int 2
  %three = torch.constant.int 3
  %number = torch.constant.float 2.900000e+00
  %none = torch.constant.none
  %shape = torch.prim.ListConstruct %two, %three : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.full %shape, %number, %three, %none, %none, %none : !torch.list<int>, !torch.float, !torch.int, !torch.none, !torch.none, !torch.none -> !torch.vtensor<[2,3],si32>
  return %0 : !torch.vtensor<[2,3],si32>
}

// -----

// What is in memory nobody knows: zeros.
// CHECK: func.func @empty_like
// CHECK: values = dense<0.000000e+00> : tensor<4xf32>
func.func @empty_like(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %none = torch.constant.none
  %0 = torch.aten.empty_like %x, %none, %none, %none, %none, %none : !torch.vtensor<[4],f32>, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}
