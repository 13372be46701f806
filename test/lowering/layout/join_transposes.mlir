// RUN: tosaic-opt %s --tosaic-join-transposes --canonicalize | filecheck %s

// A patch embedding: [1,H,W,C] to [1,C,H,W], flattened, to [1,HW,C]. Nothing moves.
// CHECK-LABEL: @patches
// CHECK-NOT: tosa.transpose
// CHECK: tosa.reshape %arg0, {{.*}} -> tensor<1x6x5xi8>
func.func @patches(%x: tensor<1x2x3x5xi8>) -> tensor<1x6x5xi8> {
  %flat = tosa.const_shape {values = dense<[1, 5, 6]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %0 = tosa.transpose %x {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x2x3x5xi8>) -> tensor<1x5x2x3xi8>
  %1 = tosa.reshape %0, %flat : (tensor<1x5x2x3xi8>, !tosa.shape<3>) -> tensor<1x5x6xi8>
  %2 = tosa.transpose %1 {perms = array<i32: 0, 2, 1>} : (tensor<1x5x6xi8>) -> tensor<1x6x5xi8>
  return %2 : tensor<1x6x5xi8>
}

// Keys: [T,heads,size] to [heads,T,size] to [heads,size,T] is one swap of T with all the rest.
// CHECK-LABEL: @keys
// CHECK: tosa.reshape %arg0, {{.*}} -> tensor<7x6xi8>
// CHECK: tosa.transpose {{.*}} {perms = array<i32: 1, 0>} : (tensor<7x6xi8>) -> tensor<6x7xi8>
// CHECK-NOT: tosa.transpose
func.func @keys(%x: tensor<1x7x2x3xi8>) -> tensor<2x3x7xi8> {
  %rank3 = tosa.const_shape {values = dense<[2, 7, 3]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %0 = tosa.transpose %x {perms = array<i32: 0, 2, 1, 3>} : (tensor<1x7x2x3xi8>) -> tensor<1x2x7x3xi8>
  %1 = tosa.reshape %0, %rank3 : (tensor<1x2x7x3xi8>, !tosa.shape<3>) -> tensor<2x7x3xi8>
  %2 = tosa.transpose %1 {perms = array<i32: 0, 2, 1>} : (tensor<2x7x3xi8>) -> tensor<2x3x7xi8>
  return %2 : tensor<2x3x7xi8>
}

// The reshape mixes elements of both dims: two transposes it stays.
// CHECK-LABEL: @mixed
// CHECK-COUNT-2: tosa.transpose
func.func @mixed(%x: tensor<4x6xi8>) -> tensor<3x8xi8> {
  %other = tosa.const_shape {values = dense<[8, 3]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.transpose %x {perms = array<i32: 1, 0>} : (tensor<4x6xi8>) -> tensor<6x4xi8>
  %1 = tosa.reshape %0, %other : (tensor<6x4xi8>, !tosa.shape<2>) -> tensor<8x3xi8>
  %2 = tosa.transpose %1 {perms = array<i32: 1, 0>} : (tensor<8x3xi8>) -> tensor<3x8xi8>
  return %2 : tensor<3x8xi8>
}

// Sizes known only at run time say nothing about factors.
// CHECK-LABEL: @dynamic
// CHECK-COUNT-2: tosa.transpose
func.func @dynamic(%x: tensor<1x?x3x5xi8>) -> tensor<1x?x5xi8> {
  %flat = tosa.const_shape {values = dense<[1, 5, -1]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %0 = tosa.transpose %x {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x?x3x5xi8>) -> tensor<1x5x?x3xi8>
  %1 = tosa.reshape %0, %flat : (tensor<1x5x?x3xi8>, !tosa.shape<3>) -> tensor<1x5x?xi8>
  %2 = tosa.transpose %1 {perms = array<i32: 0, 2, 1>} : (tensor<1x5x?xi8>) -> tensor<1x?x5xi8>
  return %2 : tensor<1x?x5xi8>
}
