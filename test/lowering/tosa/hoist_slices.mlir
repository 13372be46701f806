// RUN: tosaic-opt %s --tosaic-hoist-slices | filecheck %s

// One of three heads of [tokens, 3 * 4]: a run of the last dim.
// CHECK-LABEL: @head
// CHECK: %[[START:.*]] = tosa.const_shape {{.*}}dense<[0, 4]>
// CHECK: tosa.slice %arg0, %[[START]]{{.*}} -> tensor<5x4xi8>
// CHECK: tosa.reshape {{.*}} -> tensor<5x1x4xi8>
func.func @head(%x: tensor<5x12xi8>) -> tensor<5x1x4xi8> {
  %heads = tosa.const_shape {values = dense<[5, 3, 4]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %start = tosa.const_shape {values = dense<[0, 1, 0]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %size = tosa.const_shape {values = dense<[5, 1, 4]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %0 = tosa.reshape %x, %heads : (tensor<5x12xi8>, !tosa.shape<3>) -> tensor<5x3x4xi8>
  %1 = tosa.slice %0, %start, %size : (tensor<5x3x4xi8>, !tosa.shape<3>, !tosa.shape<3>) -> tensor<5x1x4xi8>
  return %1 : tensor<5x1x4xi8>
}

// CHECK-LABEL: @slice_of_slice
// CHECK: tosa.const_shape {{.*}}dense<3>
// CHECK: tosa.slice %arg0
// CHECK-NOT: tosa.slice
func.func @slice_of_slice(%x: tensor<8xi8>) -> tensor<2xi8> {
  %one = tosa.const_shape {values = dense<1> : tensor<1xindex>} : () -> !tosa.shape<1>
  %two = tosa.const_shape {values = dense<2> : tensor<1xindex>} : () -> !tosa.shape<1>
  %five = tosa.const_shape {values = dense<5> : tensor<1xindex>} : () -> !tosa.shape<1>
  %0 = tosa.slice %x, %one, %five : (tensor<8xi8>, !tosa.shape<1>, !tosa.shape<1>) -> tensor<5xi8>
  %1 = tosa.slice %0, %two, %two : (tensor<5xi8>, !tosa.shape<1>, !tosa.shape<1>) -> tensor<2xi8>
  return %1 : tensor<2xi8>
}

// Part of every row is no run of the flat dim.
// CHECK-LABEL: @columns
// CHECK: tosa.reshape %arg0
// CHECK: tosa.slice
func.func @columns(%x: tensor<12xi8>) -> tensor<3x2xi8> {
  %rows = tosa.const_shape {values = dense<[3, 4]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %start = tosa.const_shape {values = dense<[0, 1]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %size = tosa.const_shape {values = dense<[3, 2]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.reshape %x, %rows : (tensor<12xi8>, !tosa.shape<2>) -> tensor<3x4xi8>
  %1 = tosa.slice %0, %start, %size : (tensor<3x4xi8>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<3x2xi8>
  return %1 : tensor<3x2xi8>
}

// The reshape is read whole too: it stays, and the slice is of it.
// CHECK-LABEL: @read_whole
// CHECK: %[[R:.*]] = tosa.reshape %arg0
// CHECK: tosa.slice %[[R]]
func.func @read_whole(%x: tensor<6xi8>) -> (tensor<2x3xi8>, tensor<1x3xi8>) {
  %rows = tosa.const_shape {values = dense<[2, 3]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %start = tosa.const_shape {values = dense<[0, 0]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %size = tosa.const_shape {values = dense<[1, 3]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.reshape %x, %rows : (tensor<6xi8>, !tosa.shape<2>) -> tensor<2x3xi8>
  %1 = tosa.slice %0, %start, %size : (tensor<2x3xi8>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<1x3xi8>
  return %0, %1 : tensor<2x3xi8>, tensor<1x3xi8>
}
