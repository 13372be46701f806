// RUN: tosaic-opt %s --split-input-file --tosaic-place-transposes | filecheck %s

// Between two window ops everything takes their order: the constant and the axis of the concat do.
// CHECK: func.func @between
// CHECK-NOT: tosa.transpose
// CHECK: "tosa.const"() <{{.*}} : tensor<1x1x1x2xf32>}>
// CHECK: tosa.add {{.*}} -> tensor<1x4x4x2xf32>
// CHECK: tosa.concat {{.*}} {axis = 3 : i32} {{.*}} -> tensor<1x4x4x4xf32>
// CHECK-NOT: tosa.transpose
func.func @between(%x: tensor<1x8x8x2xf32>) -> tensor<1x2x2x4xf32> {
  %c = "tosa.const"() {values = dense<[[[[1.0]], [[2.0]]]]> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
  %0 = tosa.max_pool2d %x {kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x8x8x2xf32>) -> tensor<1x4x4x2xf32>
  %1 = tosa.transpose %0 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x4x4x2xf32>) -> tensor<1x2x4x4xf32>
  %2 = tosa.add %1, %c : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  %3 = tosa.concat %1, %2 {axis = 1 : i32} : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x4x4x4xf32>
  %4 = tosa.transpose %3 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  %5 = tosa.max_pool2d %4 {kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x4x4x4xf32>) -> tensor<1x2x2x4xf32>
  return %5 : tensor<1x2x2x4xf32>
}

// -----

// One that has to stay goes where the tensor is smallest: behind the reduction.
// CHECK: func.func @smallest
// CHECK-NEXT: tosa.reduce_sum %arg0 {axis = 2 : i32} : (tensor<4x5x6xf32>) -> tensor<4x5x1xf32>
// CHECK-NEXT: tosa.transpose {{.*}} -> tensor<5x4x1xf32>
// CHECK-NEXT: return
func.func @smallest(%x: tensor<4x5x6xf32>) -> tensor<5x4x1xf32> {
  %0 = tosa.transpose %x {perms = array<i32: 1, 0, 2>} : (tensor<4x5x6xf32>) -> tensor<5x4x6xf32>
  %1 = tosa.reduce_sum %0 {axis = 2 : i32} : (tensor<5x4x6xf32>) -> tensor<5x4x1xf32>
  return %1 : tensor<5x4x1xf32>
}

// -----

// One that moves dims of size 1 only is a reshape.
// CHECK: func.func @units
// CHECK-NOT: tosa.transpose
// CHECK: tosa.reshape {{.*}} -> tensor<1x1x1x8xf32>
func.func @units(%x: tensor<1x8x1x1xf32>) -> tensor<1x1x1x8xf32> {
  %0 = tosa.transpose %x {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x8x1x1xf32>) -> tensor<1x1x1x8xf32>
  return %0 : tensor<1x1x1x8xf32>
}

// -----

// A rescale per channel counts channels along the last dim, so it stays where it is.
// CHECK: func.func @per_channel
// CHECK: %[[T:.*]] = tosa.transpose %arg0
// CHECK: tosa.rescale %[[T]]
func.func @per_channel(%x: tensor<2x3xi8>) -> tensor<3x2xi8> {
  %m = "tosa.const"() {values = dense<[1073741824, 1073741825]> : tensor<2xi32>} : () -> tensor<2xi32>
  %s = "tosa.const"() {values = dense<30> : tensor<2xi8>} : () -> tensor<2xi8>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.transpose %x {perms = array<i32: 1, 0>} : (tensor<2x3xi8>) -> tensor<3x2xi8>
  %1 = tosa.rescale %0, %m, %s, %z, %z {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = true, input_unsigned = false, output_unsigned = false} : (tensor<3x2xi8>, tensor<2xi32>, tensor<2xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<3x2xi8>
  return %1 : tensor<3x2xi8>
}
