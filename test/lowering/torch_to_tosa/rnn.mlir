// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// One step: two products, their sum cut in four gates, state and output from those.
// CHECK: func.func @lstm_cell
// CHECK-COUNT-2: tosa.conv2d {{.*}} -> tensor<1x1x2x12xf32>
// CHECK: %[[GATES:.*]] = tosa.add {{.*}} -> tensor<2x12xf32>
// CHECK-COUNT-4: tosa.slice %[[GATES]], {{.*}} -> tensor<2x3xf32>
// CHECK-COUNT-2: tosa.sigmoid
// CHECK: tosa.tanh
// CHECK: tosa.sigmoid
// CHECK-COUNT-2: tosa.mul
// CHECK: %[[STATE:.*]] = tosa.add {{.*}} -> tensor<2x3xf32>
// CHECK: tosa.tanh %[[STATE]]
// CHECK: tosa.mul
func.func @lstm_cell(%x: !torch.vtensor<[2,4],f32>, %h: !torch.vtensor<[2,3],f32>, %c: !torch.vtensor<[2,3],f32>) -> (!torch.vtensor<[2,3],f32>, !torch.vtensor<[2,3],f32>) {
  %wx = torch.vtensor.literal(dense<1.0> : tensor<12x4xf32>) : !torch.vtensor<[12,4],f32>
  %wh = torch.vtensor.literal(dense<1.0> : tensor<12x3xf32>) : !torch.vtensor<[12,3],f32>
  %none = torch.constant.none
  %state = torch.prim.ListConstruct %h, %c : (!torch.vtensor<[2,3],f32>, !torch.vtensor<[2,3],f32>) -> !torch.list<vtensor<[2,3],f32>>
  %0:2 = torch.operator "torch.aten.lstm_cell"(%x, %state, %wx, %wh, %none, %none) : (!torch.vtensor<[2,4],f32>, !torch.list<vtensor<[2,3],f32>>, !torch.vtensor<[12,4],f32>, !torch.vtensor<[12,3],f32>, !torch.none, !torch.none) -> (!torch.vtensor<[2,3],f32>, !torch.vtensor<[2,3],f32>)
  return %0#0, %0#1 : !torch.vtensor<[2,3],f32>, !torch.vtensor<[2,3],f32>
}

// -----

// The step from the first state, which is zero, is not computed as one: the second alone multiplies
// by the state's weights.
// CHECK: func.func @gru
// CHECK: tosa.conv2d {{.*}} -> tensor<1x1x4x9xf32>
// CHECK: tosa.conv2d {{.*}} -> tensor<1x1x2x9xf32>
// CHECK-NOT: tosa.conv2d
// CHECK: return
func.func @gru(%x: !torch.vtensor<[2,2,4],f32>) -> !torch.vtensor<[2,2,3],f32> {
  %wx = torch.vtensor.literal(dense<1.0> : tensor<9x4xf32>) : !torch.vtensor<[9,4],f32>
  %wh = torch.vtensor.literal(dense<1.0> : tensor<9x3xf32>) : !torch.vtensor<[9,3],f32>
  %h = torch.vtensor.literal(dense<0.0> : tensor<1x2x3xf32>) : !torch.vtensor<[1,2,3],f32>
  %weights = torch.prim.ListConstruct %wx, %wh : (!torch.vtensor<[9,4],f32>, !torch.vtensor<[9,3],f32>) -> !torch.list<vtensor>
  %false = torch.constant.bool false
  %one = torch.constant.int 1
  %zero = torch.constant.float 0.0
  %0:2 = torch.operator "torch.aten.gru.input"(%x, %h, %weights, %false, %one, %zero, %false, %false, %false) : (!torch.vtensor<[2,2,4],f32>, !torch.vtensor<[1,2,3],f32>, !torch.list<vtensor>, !torch.bool, !torch.int, !torch.float, !torch.bool, !torch.bool, !torch.bool) -> (!torch.vtensor<[2,2,3],f32>, !torch.vtensor<[1,2,3],f32>)
  return %0#0 : !torch.vtensor<[2,2,3],f32>
}
