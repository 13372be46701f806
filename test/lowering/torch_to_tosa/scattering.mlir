// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// With known places each row knows its writer: a gather of the source, then a choice.
// CHECK: func.func @index_copy
// CHECK: dense<{{.*false.*true.*false.*true.*}}> : tensor<1x4x1xi1>
// CHECK: tosa.gather {{.*}} -> tensor<1x4x3xf32>
// CHECK: tosa.select {{.*}} -> tensor<1x4x3xf32>
func.func @index_copy(%x: !torch.vtensor<[4,3],f32>, %y: !torch.vtensor<[2,3],f32>) -> !torch.vtensor<[4,3],f32> {
  %int0 = torch.constant.int 0
  %i = torch.vtensor.literal(dense<[3, 1]> : tensor<2xsi32>) : !torch.vtensor<[2],si32>
  %0 = torch.operator "torch.aten.index_copy"(%x, %int0, %i, %y) : (!torch.vtensor<[4,3],f32>, !torch.int, !torch.vtensor<[2],si32>, !torch.vtensor<[2,3],f32>) -> !torch.vtensor<[4,3],f32>
  return %0 : !torch.vtensor<[4,3],f32>
}
