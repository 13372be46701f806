// RUN: tosaic-opt %s --tosaic-shuffle-channels | filecheck %s

// CHECK-LABEL: func.func @shuffle
// CHECK: %[[LAST:.*]] = tosa.transpose %arg0 {perms = array<i32: 0, 2, 3, 1>}
// CHECK: %[[ROWS:.*]] = tosa.reshape %[[LAST]]{{.*}} -> tensor<20x2x3xi8>
// CHECK: %[[MIXED:.*]] = tosa.transpose %[[ROWS]] {perms = array<i32: 0, 2, 1>}
// CHECK: %[[BACK:.*]] = tosa.reshape %[[MIXED]]{{.*}} -> tensor<1x4x5x6xi8>
// CHECK: %[[FIRST:.*]] = tosa.transpose %[[BACK]] {perms = array<i32: 0, 3, 1, 2>}
// CHECK: return %[[FIRST]]
func.func @shuffle(%arg0: tensor<1x6x4x5xi8>) -> tensor<1x6x4x5xi8> {
  %split = tosa.const_shape {values = dense<[1, 2, 3, 4, 5]> : tensor<5xindex>} : () -> !tosa.shape<5>
  %merge = tosa.const_shape {values = dense<[1, 6, 4, 5]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %0 = tosa.reshape %arg0, %split : (tensor<1x6x4x5xi8>, !tosa.shape<5>) -> tensor<1x2x3x4x5xi8>
  %1 = tosa.transpose %0 {perms = array<i32: 0, 2, 1, 3, 4>} : (tensor<1x2x3x4x5xi8>) -> tensor<1x3x2x4x5xi8>
  %2 = tosa.reshape %1, %merge : (tensor<1x3x2x4x5xi8>, !tosa.shape<4>) -> tensor<1x6x4x5xi8>
  return %2 : tensor<1x6x4x5xi8>
}

// A swap with another dim is no channel shuffle.
// CHECK-LABEL: func.func @other
// CHECK: tosa.reshape
// CHECK-NEXT: tosa.transpose
// CHECK-NEXT: tosa.reshape
// CHECK-NEXT: return
func.func @other(%arg0: tensor<1x6x3x3xi8>) -> tensor<1x6x3x3xi8> {
  %split = tosa.const_shape {values = dense<[1, 2, 3, 3, 3]> : tensor<5xindex>} : () -> !tosa.shape<5>
  %merge = tosa.const_shape {values = dense<[1, 6, 3, 3]> : tensor<4xindex>} : () -> !tosa.shape<4>
  %0 = tosa.reshape %arg0, %split : (tensor<1x6x3x3xi8>, !tosa.shape<5>) -> tensor<1x2x3x3x3xi8>
  %1 = tosa.transpose %0 {perms = array<i32: 0, 1, 3, 2, 4>} : (tensor<1x2x3x3x3xi8>) -> tensor<1x2x3x3x3xi8>
  %2 = tosa.reshape %1, %merge : (tensor<1x2x3x3x3xi8>, !tosa.shape<4>) -> tensor<1x6x3x3xi8>
  return %2 : tensor<1x6x3x3xi8>
}
