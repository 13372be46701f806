// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// The mean of squared differences from the mean; divided by one less than the count.
// CHECK: func.func @var
// CHECK: dense<0.333333343>
// CHECK: tosa.reduce_sum
// CHECK: tosa.sub
// CHECK: tosa.reduce_sum
// CHECK: tosa.reshape {{.*}} -> tensor<2xf32>
func.func @var(%x: !torch.vtensor<[2,4],f32>) -> !torch.vtensor<[2],f32> {
  %int1 = torch.constant.int 1
  %false = torch.constant.bool false
  %dims = torch.prim.ListConstruct %int1 : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.var.correction %x, %dims, %int1, %false : !torch.vtensor<[2,4],f32>, !torch.list<int>, !torch.int, !torch.bool -> !torch.vtensor<[2],f32>
  return %0 : !torch.vtensor<[2],f32>
}
