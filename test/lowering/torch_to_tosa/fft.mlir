// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// A short transform of real numbers is a product with a matrix; of the pair only one part is read.
// CHECK: func.func @rfft
// CHECK: tosa.conv2d {{.*}} -> tensor<1x1x2x10xf32>
// CHECK: tosa.slice {{.*}} -> tensor<2x5xf32>
// CHECK-NOT: complex
func.func @rfft(%x: !torch.vtensor<[2,8],f32>) -> !torch.vtensor<[2,5],f32> {
  %none = torch.constant.none
  %int-1 = torch.constant.int -1
  %0 = torch.aten.fft_rfft %x, %none, %int-1, %none : !torch.vtensor<[2,8],f32>, !torch.none, !torch.int, !torch.none -> !torch.vtensor<[2,5],complex<f32>>
  %1 = torch.aten.real %0 : !torch.vtensor<[2,5],complex<f32>> -> !torch.vtensor<[2,5],f32>
  return %1 : !torch.vtensor<[2,5],f32>
}
