// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// The largest is found by REDUCE_MAX, its first place by REDUCE_MIN; NaN counts as infinity.
// CHECK: func.func @topk
// CHECK: tosa.equal %{{.*}}, %{{.*}} : (tensor<2x5xf32>, tensor<2x5xf32>)
// CHECK: tosa.reduce_max {{.*}} -> tensor<2x1xf32>
// CHECK: tosa.reduce_min {{.*}} -> tensor<2x1xf32>
// CHECK: tosa.gather {{.*}} -> tensor<2x1x1xf32>
func.func @topk(%x: !torch.vtensor<[2,5],f32>) -> (!torch.vtensor<[2,1],f32>, !torch.vtensor<[2,1],si64>) {
  %int1 = torch.constant.int 1
  %true = torch.constant.bool true
  %0:2 = torch.aten.topk %x, %int1, %int1, %true, %true : !torch.vtensor<[2,5],f32>, !torch.int, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[2,1],f32>, !torch.vtensor<[2,1],si64>
  return %0#0, %0#1 : !torch.vtensor<[2,1],f32>, !torch.vtensor<[2,1],si64>
}
