// RUN: tosaic-opt %s --split-input-file --tosaic-fold-table | filecheck %s

!x = !quant.uniform<i16:f32, 0.000244>
!y = !quant.uniform<i16:f32, 0.00003052>

// 513 entries, between which TABLE interpolates, to 7 more bits; the rescale takes them off again.
// With a factor of 2**-7 the two are one operation on Ethos-U.
// CHECK: func.func @sigmoid
// CHECK-DAG: "tosa.const"() <{values = dense<37> : tensor<1xi8>}>
// CHECK: "tosa.const"() <{values = dense<"0x{{.*}}"> : tensor<513xi16>}>
// CHECK: tosa.table {{.*}} -> tensor<4xi32>
// CHECK: tosa.rescale {{.*}} -> tensor<4xi16>
// CHECK-NOT: tosa.table
func.func @sigmoid(%x: tensor<4x!x>) -> tensor<4x!y> {
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = tosa.sigmoid %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.qcast %1 : tensor<4xf32> to tensor<4x!y>
  return %2 : tensor<4x!y>
}

// -----

!x = !quant.uniform<i16:f32, 0.000122>
!y = !quant.uniform<i16:f32, 0.002>

// exp is too steep at the end of the range for that: a second table adds what is missing there.
// CHECK: func.func @exp
// CHECK: tosa.table {{.*}} -> tensor<4xi32>
// CHECK: tosa.sub
// CHECK: tosa.rescale {{.*}} -> tensor<4xi16>
// CHECK: tosa.table {{.*}} -> tensor<4xi32>
// CHECK: tosa.add {{.*}} -> tensor<4xi32>
// CHECK: tosa.rescale {{.*}} -> tensor<4xi16>
// CHECK-NOT: tosa.table
func.func @exp(%x: tensor<4x!x>) -> tensor<4x!y> {
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = tosa.exp %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.qcast %1 : tensor<4xf32> to tensor<4x!y>
  return %2 : tensor<4x!y>
}

// -----

!x = !quant.uniform<i16:f32, 0.000976>

// A staircase of 64 steps: an entry for every input.
// CHECK: func.func @floor
// CHECK: tensor<1x65536x1xi16>
// CHECK: tosa.gather {{.*}} -> tensor<1x6x1xi16>
// CHECK: tosa.reshape {{.*}} -> tensor<2x3xi16>
func.func @floor(%x: tensor<2x3x!x>) -> tensor<2x3x!x> {
  %0 = quant.dcast %x : tensor<2x3x!x> to tensor<2x3xf32>
  %1 = tosa.floor %0 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %2 = quant.qcast %1 : tensor<2x3xf32> to tensor<2x3x!x>
  return %2 : tensor<2x3x!x>
}

// -----

!x = !quant.uniform<i8:f32, 0.05:-20>
!y = !quant.uniform<i16:f32, 0.0001>

// int8 to int16: a table of high bytes and one of low bytes.
// CHECK: func.func @widening
// CHECK-COUNT-2: tosa.table {{.*}} -> tensor<4xi8>
// CHECK: tosa.rescale {{.*}} -> tensor<4xi16>
func.func @widening(%x: tensor<4x!x>) -> tensor<4x!y> {
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = tosa.tanh %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.qcast %1 : tensor<4xf32> to tensor<4x!y>
  return %2 : tensor<4x!y>
}

// -----

!x = !quant.uniform<i16:f32, 0.000244>
!y = !quant.uniform<i8:f32, 0.0078125:-3>

// To int8: first to int16 as above, then to the result.
// CHECK: func.func @narrowing
// CHECK: tosa.table {{.*}} -> tensor<4xi32>
// CHECK: tosa.rescale {{.*}} -> tensor<4xi16>
// CHECK: tosa.rescale {{.*}} -> tensor<4xi8>
func.func @narrowing(%x: tensor<4x!x>) -> tensor<4x!y> {
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = tosa.tanh %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.qcast %1 : tensor<4xf32> to tensor<4x!y>
  return %2 : tensor<4x!y>
}

// -----

!x = !quant.uniform<i16:f32, 0.5>

// A sum with a constant is left to tosaic-fold-qdq: it needs no table.
// CHECK: func.func @sum
// CHECK-NOT: tosa.table
// CHECK: tosa.add
func.func @sum(%x: tensor<4x!x>) -> tensor<4x!x> {
  %c = "tosa.const"() {values = dense<1.5> : tensor<4xf32>} : () -> tensor<4xf32>
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = tosa.add %0, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.qcast %1 : tensor<4xf32> to tensor<4x!x>
  return %2 : tensor<4x!x>
}

// -----

!x = !quant.uniform<i16:f32, 0.000122>

// What is added or taken off may also be a function of the same input, which is one table.
// CHECK: func.func @difference
// CHECK: tosa.table
// CHECK-NOT: tosa.sub
func.func @difference(%x: tensor<4x!x>) -> tensor<4x!x> {
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = tosa.tanh %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = tosa.sub %0, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = quant.qcast %2 : tensor<4xf32> to tensor<4x!x>
  return %3 : tensor<4x!x>
}
