// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// TOSA's integers have a sign. Where values count, uint8 is i32, and the result keeps 8 bits.
// CHECK: func.func @add
// CHECK: %[[W:.*]] = tosa.cast {{.*}} : (tensor<4xi8>) -> tensor<4xi32>
// CHECK: tosa.bitwise_and %[[W]]
// CHECK: %[[S:.*]] = tosa.add {{.*}} -> tensor<4xi32>
// CHECK: tosa.cast %[[S]] : (tensor<4xi32>) -> tensor<4xi8>
func.func @add(%x: !torch.vtensor<[4],ui8>, %y: !torch.vtensor<[4],ui8>) -> !torch.vtensor<[4],ui8> {
  %one = torch.constant.int 1
  %0 = torch.aten.add.Tensor %x, %y, %one : !torch.vtensor<[4],ui8>, !torch.vtensor<[4],ui8>, !torch.int -> !torch.vtensor<[4],ui8>
  return %0 : !torch.vtensor<[4],ui8>
}

// -----

// What is only moved keeps its bits.
// CHECK: func.func @moved
// CHECK-NOT: tosa.cast
// CHECK: tosa.reshape {{.*}} -> tensor<2x2xi8>
func.func @moved(%x: !torch.vtensor<[4],ui8>) -> !torch.vtensor<[2,2],ui8> {
  %two = torch.constant.int 2
  %shape = torch.prim.ListConstruct %two, %two : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.view %x, %shape : !torch.vtensor<[4],ui8>, !torch.list<int> -> !torch.vtensor<[2,2],ui8>
  return %0 : !torch.vtensor<[2,2],ui8>
}

// -----

// -1 and 255 are the same bits, and not the same number.
// CHECK: func.func @to_float
// CHECK: %[[V:.*]] = tosa.bitwise_and
// CHECK: tosa.cast %[[V]] : (tensor<4xi32>) -> tensor<4xf32>
func.func @to_float(%x: !torch.vtensor<[4],ui8>) -> !torch.vtensor<[4],f32> {
  %false = torch.constant.bool false
  %none = torch.constant.none
  %six = torch.constant.int 6
  %0 = torch.aten.to.dtype %x, %six, %false, %false, %none : !torch.vtensor<[4],ui8>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}
