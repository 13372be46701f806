// RUN: tosaic-opt %s --tosaic-transpose-by-slices --canonicalize | filecheck %s

// Heads to the front: a slice of the channels for each, one above the other.
// CHECK-LABEL: @split
// CHECK: %[[X:.*]] = tosa.reshape %arg0, {{.*}} -> tensor<20x16xi8>
// CHECK-COUNT-2: tosa.slice %[[X]], {{.*}} -> tensor<20x8xi8>
// CHECK: tosa.concat {{.*}} {axis = 0 : i32}
// CHECK-NOT: tosa.transpose
func.func @split(%x: tensor<1x20x2x8xi8>) -> tensor<1x2x20x8xi8> {
  %0 = tosa.transpose %x {perms = array<i32: 0, 2, 1, 3>} : (tensor<1x20x2x8xi8>) -> tensor<1x2x20x8xi8>
  return %0 : tensor<1x2x20x8xi8>
}

// And back: a slice of the rows for each, side by side.
// CHECK-LABEL: @merge
// CHECK: %[[X:.*]] = tosa.reshape %arg0, {{.*}} -> tensor<40x8xi8>
// CHECK-COUNT-2: tosa.slice %[[X]], {{.*}} -> tensor<20x8xi8>
// CHECK: tosa.concat {{.*}} {axis = 1 : i32}
func.func @merge(%x: tensor<1x2x20x8xi8>) -> tensor<1x20x2x8xi8> {
  %0 = tosa.transpose %x {perms = array<i32: 0, 2, 1, 3>} : (tensor<1x2x20x8xi8>) -> tensor<1x20x2x8xi8>
  return %0 : tensor<1x20x2x8xi8>
}

// Single elements, a matrix, and two long dims are transposes.
// CHECK-LABEL: @elements
// CHECK: tosa.transpose
func.func @elements(%x: tensor<1x20x2x4xi8>) -> tensor<1x2x20x4xi8> {
  %0 = tosa.transpose %x {perms = array<i32: 0, 2, 1, 3>} : (tensor<1x20x2x4xi8>) -> tensor<1x2x20x4xi8>
  return %0 : tensor<1x2x20x4xi8>
}
// CHECK-LABEL: @matrix
// CHECK: tosa.transpose
func.func @matrix(%x: tensor<20x8xi8>) -> tensor<8x20xi8> {
  %0 = tosa.transpose %x {perms = array<i32: 1, 0>} : (tensor<20x8xi8>) -> tensor<8x20xi8>
  return %0 : tensor<8x20xi8>
}
// CHECK-LABEL: @long
// CHECK: tosa.transpose
func.func @long(%x: tensor<40x50x8xi8>) -> tensor<50x40x8xi8> {
  %0 = tosa.transpose %x {perms = array<i32: 1, 0, 2>} : (tensor<40x50x8xi8>) -> tensor<50x40x8xi8>
  return %0 : tensor<50x40x8xi8>
}
