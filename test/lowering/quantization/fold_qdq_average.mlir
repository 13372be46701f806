// RUN: tosaic-opt %s --split-input-file --tosaic-fold-qdq | filecheck %s

!x = !quant.uniform<i8:f32, 0.5:3>

// The parameters of the input: TOSA's own average pool.
// CHECK: func.func @same
// CHECK: tosa.avg_pool2d {{.*}} -> tensor<1x2x2x4xi8>
// CHECK-NOT: tosa.rescale
func.func @same(%x: tensor<1x4x4x4x!x>) -> tensor<1x2x2x4x!x> {
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %0 = quant.dcast %x : tensor<1x4x4x4x!x> to tensor<1x4x4x4xf32>
  %1 = tosa.avg_pool2d %0, %z, %z {acc_type = f32, kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x4x4x4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x2x2x4xf32>
  %2 = quant.qcast %1 : tensor<1x2x2x4xf32> to tensor<1x2x2x4x!x>
  return %2 : tensor<1x2x2x4x!x>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i8:f32, 0.25:-1>

// Other parameters: sums by a depthwise convolution of ones, and one rounding.
// CHECK: func.func @windows
// CHECK: tosa.depthwise_conv2d {{.*}} -> tensor<1x2x2x4xi32>
// CHECK-NOT: tosa.mul
// CHECK: tosa.rescale {{.*}} -> tensor<1x2x2x4xi8>
func.func @windows(%x: tensor<1x4x4x4x!x>) -> tensor<1x2x2x4x!y> {
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %0 = quant.dcast %x : tensor<1x4x4x4x!x> to tensor<1x4x4x4xf32>
  %1 = tosa.avg_pool2d %0, %z, %z {acc_type = f32, kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x4x4x4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x2x2x4xf32>
  %2 = quant.qcast %1 : tensor<1x2x2x4xf32> to tensor<1x2x2x4x!y>
  return %2 : tensor<1x2x2x4x!y>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i8:f32, 0.25:-1>

// A mean over the whole image is a reduction; every target has a good form for it.
// CHECK: func.func @global
// CHECK: tosa.rescale {{.*}} -> tensor<1x4x4x4xi32>
// CHECK-COUNT-2: tosa.reduce_sum
// CHECK: tosa.rescale {{.*}} -> tensor<1x1x1x4xi8>
func.func @global(%x: tensor<1x4x4x4x!x>) -> tensor<1x1x1x4x!y> {
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %0 = quant.dcast %x : tensor<1x4x4x4x!x> to tensor<1x4x4x4xf32>
  %1 = tosa.avg_pool2d %0, %z, %z {acc_type = f32, kernel = array<i64: 4, 4>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x4x4x4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1x1x4xf32>
  %2 = quant.qcast %1 : tensor<1x1x1x4xf32> to tensor<1x1x1x4x!y>
  return %2 : tensor<1x1x1x4x!y>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i8:f32, 0.25:-1>

// Padding does not count: a corner's sum is of 4 values, an edge's of 6, the middle's of 9.
// CHECK: func.func @padded
// CHECK-DAG: values = dense<{{\[\[\[\[}}2097152], [1398101], [2097152]{{.*}}932068
// CHECK-DAG: tosa.depthwise_conv2d {{.*}}pad = array<i64: 1, 1, 1, 1>
// CHECK: tosa.mul {{.*}} -> tensor<1x3x3x4xi32>
// CHECK: tosa.rescale {{.*}} -> tensor<1x3x3x4xi8>
func.func @padded(%x: tensor<1x3x3x4x!x>) -> tensor<1x3x3x4x!y> {
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %0 = quant.dcast %x : tensor<1x3x3x4x!x> to tensor<1x3x3x4xf32>
  %1 = tosa.avg_pool2d %0, %z, %z {acc_type = f32, kernel = array<i64: 3, 3>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x3x3x4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x3x3x4xf32>
  %2 = quant.qcast %1 : tensor<1x3x3x4xf32> to tensor<1x3x3x4x!y>
  return %2 : tensor<1x3x3x4x!y>
}
