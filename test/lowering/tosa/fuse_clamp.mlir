// RUN: tosaic-opt %s --split-input-file --tosaic-fuse-clamp | filecheck %s

// ReLU after a clamp to [-1, 6] is a clamp to [0, 6].
// CHECK-LABEL: func.func @merge
// CHECK-NEXT: %[[Y:.*]] = tosa.clamp %arg0 {max_val = 6.000000e+00 : f32, min_val = 0.000000e+00 : f32}
// CHECK-NEXT: return %[[Y]]
func.func @merge(%arg0: tensor<4xf32>) -> tensor<4xf32> {
  %0 = tosa.clamp %arg0 {max_val = 6.000000e+00 : f32, min_val = -1.000000e+00 : f32} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = tosa.clamp %0 {max_val = 9.000000e+00 : f32, min_val = 0.000000e+00 : f32} : (tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// A max pool hands on values of its input, so the second ReLU is implied.
// CHECK-LABEL: func.func @implied
// CHECK: tosa.clamp
// CHECK: %[[Y:.*]] = tosa.max_pool2d
// CHECK-NEXT: return %[[Y]]
func.func @implied(%arg0: tensor<1x4x4x2xi8>) -> tensor<1x2x2x2xi8> {
  %0 = tosa.clamp %arg0 {max_val = 127 : i8, min_val = 3 : i8} : (tensor<1x4x4x2xi8>) -> tensor<1x4x4x2xi8>
  %1 = tosa.max_pool2d %0 {kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x4x4x2xi8>) -> tensor<1x2x2x2xi8>
  %2 = tosa.clamp %1 {max_val = 127 : i8, min_val = 3 : i8} : (tensor<1x2x2x2xi8>) -> tensor<1x2x2x2xi8>
  return %2 : tensor<1x2x2x2xi8>
}

// -----

// Bounds that cut something off stay; so do two clamps whose ranges do not meet.
// CHECK-LABEL: func.func @needed
// CHECK-COUNT-3: tosa.clamp
func.func @needed(%arg0: tensor<4xi8>) -> (tensor<4xi8>, tensor<4xi8>) {
  %0 = tosa.clamp %arg0 {max_val = 127 : i8, min_val = 3 : i8} : (tensor<4xi8>) -> tensor<4xi8>
  %1 = tosa.clamp %arg0 {max_val = -5 : i8, min_val = -9 : i8} : (tensor<4xi8>) -> tensor<4xi8>
  %2 = tosa.clamp %1 {max_val = 9 : i8, min_val = 3 : i8} : (tensor<4xi8>) -> tensor<4xi8>
  return %0, %2 : tensor<4xi8>, tensor<4xi8>
}
