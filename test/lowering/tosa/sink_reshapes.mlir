// RUN: tosaic-opt %s --tosaic-sink-reshapes --canonicalize --cse | filecheck %s

// A residual sum of [1,T,C] is computed as the layer before it was, [1,1,T,C].
// CHECK-LABEL: @residual
// CHECK: %[[X:.*]] = tosa.reshape %arg0, {{.*}} -> tensor<1x1x2x3xi8>
// CHECK: %[[SUM:.*]] = tosa.add %[[X]], %arg1 : {{.*}} -> tensor<1x1x2x3xi8>
// CHECK: tosa.reshape %[[SUM]], {{.*}} -> tensor<1x2x3xi8>
func.func @residual(%x: tensor<1x2x3xi8>, %layer: tensor<1x1x2x3xi8>) -> tensor<1x2x3xi8> {
  %tokens = tosa.const_shape {values = dense<[1, 2, 3]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %y = tosa.reshape %layer, %tokens : (tensor<1x1x2x3xi8>, !tosa.shape<3>) -> tensor<1x2x3xi8>
  %0 = tosa.add %x, %y : (tensor<1x2x3xi8>, tensor<1x2x3xi8>) -> tensor<1x2x3xi8>
  return %0 : tensor<1x2x3xi8>
}

// Down only: a reshape to more dims stays above, and so does one that regroups elements.
// CHECK-LABEL: @up
// CHECK: tosa.reshape %arg0
// CHECK: tosa.table
func.func @up(%x: tensor<2x3xi8>, %table: tensor<256xi8>) -> tensor<1x2x3xi8> {
  %more = tosa.const_shape {values = dense<[1, 2, 3]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %0 = tosa.reshape %x, %more : (tensor<2x3xi8>, !tosa.shape<3>) -> tensor<1x2x3xi8>
  %1 = tosa.table %0, %table : (tensor<1x2x3xi8>, tensor<256xi8>) -> tensor<1x2x3xi8>
  return %1 : tensor<1x2x3xi8>
}
// CHECK-LABEL: @regrouped
// CHECK: tosa.reshape %arg0
// CHECK: tosa.table
func.func @regrouped(%x: tensor<1x2x3xi8>, %table: tensor<256xi8>) -> tensor<6xi8> {
  %flat = tosa.const_shape {values = dense<6> : tensor<1xindex>} : () -> !tosa.shape<1>
  %0 = tosa.reshape %x, %flat : (tensor<1x2x3xi8>, !tosa.shape<1>) -> tensor<6xi8>
  %1 = tosa.table %0, %table : (tensor<6xi8>, tensor<256xi8>) -> tensor<6xi8>
  return %1 : tensor<6xi8>
}

// A broadcast would have to find its dims again.
// CHECK-LABEL: @broadcast
// CHECK: tosa.reshape %arg0
// CHECK: tosa.add
func.func @broadcast(%x: tensor<1x1x2x3xi8>, %y: tensor<1x1x3xi8>) -> tensor<1x2x3xi8> {
  %tokens = tosa.const_shape {values = dense<[1, 2, 3]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %0 = tosa.reshape %x, %tokens : (tensor<1x1x2x3xi8>, !tosa.shape<3>) -> tensor<1x2x3xi8>
  %1 = tosa.add %0, %y : (tensor<1x2x3xi8>, tensor<1x1x3xi8>) -> tensor<1x2x3xi8>
  return %1 : tensor<1x2x3xi8>
}
