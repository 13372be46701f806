// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// A complex number is a pair of tensors: four products, a difference and a sum.
// CHECK: func.func @multiply
// CHECK-COUNT-2: tosa.mul
// CHECK: tosa.sub
// CHECK-COUNT-2: tosa.mul
// CHECK: tosa.add
// CHECK: tosa.concat {{.*}} -> tensor<3x2xf32>
func.func @multiply(%x: !torch.vtensor<[3,2],f32>, %y: !torch.vtensor<[3,2],f32>) -> !torch.vtensor<[3,2],f32> {
  %0 = torch.aten.view_as_complex %x : !torch.vtensor<[3,2],f32> -> !torch.vtensor<[3],complex<f32>>
  %1 = torch.aten.view_as_complex %y : !torch.vtensor<[3,2],f32> -> !torch.vtensor<[3],complex<f32>>
  %2 = torch.aten.mul.Tensor %0, %1 : !torch.vtensor<[3],complex<f32>>, !torch.vtensor<[3],complex<f32>> -> !torch.vtensor<[3],complex<f32>>
  %3 = torch.aten.view_as_real %2 : !torch.vtensor<[3],complex<f32>> -> !torch.vtensor<[3,2],f32>
  return %3 : !torch.vtensor<[3,2],f32>
}
