// RUN: tosaic-opt %s --split-input-file --tosaic-narrow-int64 | filecheck %s

// Token ids plus an offset: int32 throughout, and the signature says what it was.
// The offset leaves room for inputs of 31 bits.
// CHECK: func.func @offset(%arg0: tensor<1x8xi32> {tosaic.name = "ids", tosaic.narrowed = "i64", tosaic.range = array<i64: -1073741824, 1073741823>}) -> (tensor<1x8xi32> {tosaic.narrowed = "i64"})
// CHECK: tosa.add {{.*}} -> tensor<1x8xi32>
// CHECK-NOT: i64>
func.func @offset(%ids: tensor<1x8xi64> {tosaic.name = "ids"}) -> tensor<1x8xi64> {
  %two = "tosa.const"() {values = dense<2> : tensor<1x1xi64>} : () -> tensor<1x1xi64>
  %0 = tosa.add %ids, %two : (tensor<1x8xi64>, tensor<1x1xi64>) -> tensor<1x8xi64>
  return %0 : tensor<1x8xi64>
}

// -----

// "No limit" is the limit of the type, before and after.
// CHECK: tosa.clamp %arg0 {max_val = 2147483647 : i32, min_val = 0 : i32}
func.func @clamp(%x: tensor<4xi64>) -> tensor<4xi64> {
  %0 = tosa.clamp %x {min_val = 0 : i64, max_val = 9223372036854775807 : i64} : (tensor<4xi64>) -> tensor<4xi64>
  return %0 : tensor<4xi64>
}

// -----

// The product of two inputs of any value would not fit; limited to 0..1000, it does.
// CHECK: func.func @limited
// CHECK: tosa.mul {{.*}} -> tensor<4xi32>
func.func @limited(%x: tensor<4xi64>) -> tensor<4xi64> {
  %shift = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.clamp %x {min_val = 0 : i64, max_val = 1000 : i64} : (tensor<4xi64>) -> tensor<4xi64>
  %1 = tosa.mul %0, %0, %shift : (tensor<4xi64>, tensor<4xi64>, tensor<1xi8>) -> tensor<4xi64>
  return %1 : tensor<4xi64>
}

// -----

// Casts to and from int32 vanish; an argmax is at most the size of its axis.
// CHECK: func.func @casts
// CHECK-NEXT: tosa.argmax {{.*}} -> tensor<8xi32>
// CHECK-NEXT: return
func.func @casts(%x: tensor<4x8xf32>) -> tensor<8xi32> {
  %0 = tosa.argmax %x {axis = 0 : i32} : (tensor<4x8xf32>) -> tensor<8xi64>
  %1 = tosa.cast %0 : (tensor<8xi64>) -> tensor<8xi32>
  return %1 : tensor<8xi32>
}

// -----

// Nothing to narrow: nothing is marked.
// CHECK: func.func @none(%arg0: tensor<4xi32>) -> tensor<4xi32>
func.func @none(%x: tensor<4xi32>) -> tensor<4xi32> {
  return %x : tensor<4xi32>
}

// -----

// PyTorch sums int32 in int64. A sum of 1024 leaves room for inputs of 22 bits.
// CHECK: func.func @sum(%arg0: tensor<1024xi32> {tosaic.range = array<i64: -2097152, 2097151>})
// CHECK: tosa.reduce_sum {{.*}} -> tensor<1xi32>
func.func @sum(%x: tensor<1024xi32>) -> tensor<1xi64> {
  %0 = tosa.cast %x : (tensor<1024xi32>) -> tensor<1024xi64>
  %1 = tosa.reduce_sum %0 {axis = 0 : i32} : (tensor<1024xi64>) -> tensor<1xi64>
  return %1 : tensor<1xi64>
}

// -----

// A float beyond int32 saturates, which a limit, a comparison and an index do not notice.
// CHECK: func.func @from_float
// CHECK: tosa.cast %arg0 : (tensor<4xf32>) -> tensor<4xi32>
// CHECK-NOT: i64>
func.func @from_float(%x: tensor<4xf32>, %table: tensor<1x9x1xf32>) -> (tensor<4xi32>, tensor<4xi1>, tensor<1x4x1xf32>) {
  %nine = "tosa.const"() {values = dense<9> : tensor<1xi64>} : () -> tensor<1xi64>
  %shape = tosa.const_shape {values = dense<[1, 4]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.cast %x : (tensor<4xf32>) -> tensor<4xi64>
  %1 = tosa.minimum %0, %nine : (tensor<4xi64>, tensor<1xi64>) -> tensor<4xi64>
  %2 = tosa.cast %1 : (tensor<4xi64>) -> tensor<4xi32>
  %3 = tosa.greater %0, %nine : (tensor<4xi64>, tensor<1xi64>) -> tensor<4xi1>
  %4 = tosa.reshape %2, %shape : (tensor<4xi32>, !tosa.shape<2>) -> tensor<1x4xi32>
  %5 = tosa.gather %table, %4 : (tensor<1x9x1xf32>, tensor<1x4xi32>) -> tensor<1x4x1xf32>
  return %2, %3, %5 : tensor<4xi32>, tensor<4xi1>, tensor<1x4x1xf32>
}
