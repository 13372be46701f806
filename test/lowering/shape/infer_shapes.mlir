// RUN: tosaic-opt %s --split-input-file --tosaic-infer-shapes | filecheck %s

// Sizes reach the function's type; the -1 of a reshape becomes what it stands for.
// CHECK: func.func @reshape(%arg0: tensor<4x8xf32>) -> tensor<8x4xf32>
// CHECK-NOT: -1
// CHECK: tosa.const_shape {values = dense<[8, 4]>
// CHECK: tosa.reshape %arg0, %{{.*}} -> tensor<8x4xf32>
// CHECK-NOT: tensor.cast
func.func @reshape(%x: tensor<4x8xf32>) -> tensor<?x?xf32> {
  %s = tosa.const_shape {values = dense<[-1, 4]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.reshape %x, %s : (tensor<4x8xf32>, !tosa.shape<2>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

// The -1 of a slice is "up to the end".
// CHECK: func.func @slice(%arg0: tensor<4x8xf32>) -> tensor<2x7xf32>
// CHECK: tosa.const_shape {values = dense<[2, 7]>
func.func @slice(%x: tensor<4x8xf32>) -> tensor<?x?xf32> {
  %start = tosa.const_shape {values = dense<[1, 1]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %size = tosa.const_shape {values = dense<[2, -1]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.slice %x, %start, %size : (tensor<4x8xf32>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

// Upstream stops at quant casts.
// CHECK: func.func @quant_casts(%arg0: tensor<4x8xf32>) -> tensor<8x4xf32>
// CHECK: quant.qcast %arg0 : tensor<4x8xf32> to tensor<4x8x!quant
// CHECK: tosa.transpose {{.*}} -> tensor<8x4x!quant
// CHECK: quant.dcast {{.*}} to tensor<8x4xf32>
func.func @quant_casts(%x: tensor<4x8xf32>) -> tensor<?x?xf32> {
  %d = tensor.cast %x : tensor<4x8xf32> to tensor<?x?xf32>
  %q = quant.qcast %d : tensor<?x?xf32> to tensor<?x?x!quant.uniform<i8:f32, 0.5>>
  %t = tosa.transpose %q {perms = array<i32: 1, 0>} : (tensor<?x?x!quant.uniform<i8:f32, 0.5>>) -> tensor<?x?x!quant.uniform<i8:f32, 0.5>>
  %0 = quant.dcast %t : tensor<?x?x!quant.uniform<i8:f32, 0.5>> to tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

// What a cast asserts goes to the value it casts.
// CHECK: func.func @asserted(%arg0: tensor<?x8xf32>) -> tensor<4x8xf32>
// CHECK-NEXT: tosa.abs %arg0 : (tensor<?x8xf32>) -> tensor<4x8xf32>
// CHECK-NEXT: return
func.func @asserted(%x: tensor<?x8xf32>) -> tensor<4x8xf32> {
  %0 = tosa.abs %x : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %1 = tensor.cast %0 : tensor<?x8xf32> to tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// -----

// What has to stay dynamic does, with the -1.
// CHECK: func.func @dynamic(%arg0: tensor<?x4xf32>) -> tensor<1x?x4xf32>
// CHECK: tosa.const_shape {values = dense<[1, -1, 4]>
func.func @dynamic(%x: tensor<?x4xf32>) -> tensor<1x?x4xf32> {
  %s = tosa.const_shape {values = dense<[1, -1, 4]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %0 = tosa.reshape %x, %s : (tensor<?x4xf32>, !tosa.shape<3>) -> tensor<1x?x4xf32>
  return %0 : tensor<1x?x4xf32>
}

// -----

// A function that is called keeps its type.
// CHECK: func.func @called(%arg0: tensor<4xf32>) -> tensor<?xf32>
// CHECK: func.func @caller(%arg0: tensor<4xf32>) -> tensor<?xf32>
func.func @called(%x: tensor<4xf32>) -> tensor<?xf32> {
  %0 = tosa.abs %x : (tensor<4xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}
func.func @caller(%x: tensor<4xf32>) -> tensor<?xf32> {
  %0 = call @called(%x) : (tensor<4xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}
