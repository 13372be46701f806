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

// A broadcast operand gets the dims too.
// CHECK-LABEL: @broadcast
// CHECK: %[[Y:.*]] = tosa.reshape %arg1, {{.*}} -> tensor<1x1x1x3xi8>
// CHECK: %[[SUM:.*]] = tosa.add %arg0, %[[Y]] : {{.*}} -> tensor<1x1x2x3xi8>
// CHECK: tosa.reshape %[[SUM]], {{.*}} -> tensor<1x2x3xi8>
func.func @broadcast(%x: tensor<1x1x2x3xi8>, %y: tensor<1x1x3xi8>) -> tensor<1x2x3xi8> {
  %tokens = tosa.const_shape {values = dense<[1, 2, 3]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %0 = tosa.reshape %x, %tokens : (tensor<1x1x2x3xi8>, !tosa.shape<3>) -> tensor<1x2x3xi8>
  %1 = tosa.add %0, %y : (tensor<1x2x3xi8>, tensor<1x1x3xi8>) -> tensor<1x2x3xi8>
  return %1 : tensor<1x2x3xi8>
}

// A constant stays next to its rescale, and the rescale next to the sum, which Vela fuses.
// CHECK-LABEL: @rescaled_constant
// CHECK-DAG: %[[ONE:.*]] = "tosa.const"() {{.*}} : () -> tensor<1x1x1x1xi16>
// CHECK: %[[WIDE:.*]] = tosa.rescale %[[ONE]], {{.*}} -> tensor<1x1x1x1xi32>
// CHECK: tosa.add %arg0, %[[WIDE]]
func.func @rescaled_constant(%x: tensor<1x1x2x3xi32>) -> tensor<2x3xi32> {
  %rows = tosa.const_shape {values = dense<[2, 3]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %one = "tosa.const"() {values = dense<1> : tensor<1x1xi16>} : () -> tensor<1x1xi16>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<30> : tensor<1xi8>} : () -> tensor<1xi8>
  %iz = "tosa.const"() {values = dense<0> : tensor<1xi16>} : () -> tensor<1xi16>
  %oz = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %wide = tosa.rescale %one, %m, %s, %iz, %oz {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x1xi16>, tensor<1xi32>, tensor<1xi8>, tensor<1xi16>, tensor<1xi32>) -> tensor<1x1xi32>
  %0 = tosa.reshape %x, %rows : (tensor<1x1x2x3xi32>, !tosa.shape<2>) -> tensor<2x3xi32>
  %1 = tosa.add %0, %wide : (tensor<2x3xi32>, tensor<1x1xi32>) -> tensor<2x3xi32>
  return %1 : tensor<2x3xi32>
}

// Parts and joins of states are taken where the layers compute them.
// CHECK-LABEL: @parts
// CHECK: tosa.slice %arg0, {{.*}} -> tensor<1x1x2x1xi8>
// CHECK: tosa.slice %arg0, {{.*}} -> tensor<1x1x2x2xi8>
// CHECK: %[[ALL:.*]] = tosa.concat {{.*}} {axis = 3 : i32} : {{.*}} -> tensor<1x1x2x3xi8>
// CHECK: tosa.reshape %[[ALL]], {{.*}} -> tensor<2x3xi8>
func.func @parts(%x: tensor<1x1x2x3xi8>) -> tensor<2x3xi8> {
  %rows = tosa.const_shape {values = dense<[2, 3]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %first = tosa.const_shape {values = dense<0> : tensor<2xindex>} : () -> !tosa.shape<2>
  %second = tosa.const_shape {values = dense<[0, 1]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %one = tosa.const_shape {values = dense<[2, 1]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %two = tosa.const_shape {values = dense<2> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.reshape %x, %rows : (tensor<1x1x2x3xi8>, !tosa.shape<2>) -> tensor<2x3xi8>
  %1 = tosa.slice %0, %first, %one : (tensor<2x3xi8>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<2x1xi8>
  %2 = tosa.slice %0, %second, %two : (tensor<2x3xi8>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<2x2xi8>
  %3 = tosa.concat %2, %1 {axis = 1 : i32} : (tensor<2x2xi8>, tensor<2x1xi8>) -> tensor<2x3xi8>
  return %3 : tensor<2x3xi8>
}

// Along a dim that not all of them have in the same place, they are joined as they are.
// CHECK-LABEL: @unlike_parts
// CHECK-COUNT-2: tosa.reshape
// CHECK: tosa.concat {{.*}} -> tensor<2x2x3xi8>
func.func @unlike_parts(%x: tensor<1x1x2x3xi8>, %y: tensor<1x2x1x3xi8>) -> tensor<2x2x3xi8> {
  %shape = tosa.const_shape {values = dense<[1, 2, 3]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %0 = tosa.reshape %x, %shape : (tensor<1x1x2x3xi8>, !tosa.shape<3>) -> tensor<1x2x3xi8>
  %1 = tosa.reshape %y, %shape : (tensor<1x2x1x3xi8>, !tosa.shape<3>) -> tensor<1x2x3xi8>
  %2 = tosa.concat %0, %1 {axis = 0 : i32} : (tensor<1x2x3xi8>, tensor<1x2x3xi8>) -> tensor<2x2x3xi8>
  return %2 : tensor<2x2x3xi8>
}

// A causal convolution pads what the one before it computed, where that computed it.
// CHECK-LABEL: @pads
// CHECK: %[[AROUND:.*]] = tosa.const_shape {{.*}}dense<[0, 0, 0, 0, 0, 0, 2, 1]>
// CHECK: %[[PADDED:.*]] = tosa.pad %arg0, %[[AROUND]], {{.*}} -> tensor<1x3x1x11xi8>
// CHECK: tosa.reshape %[[PADDED]], {{.*}} -> tensor<1x3x11xi8>
func.func @pads(%x: tensor<1x3x1x8xi8>) -> tensor<1x3x11xi8> {
  %shape = tosa.const_shape {values = dense<[1, 3, 8]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %around = tosa.const_shape {values = dense<[0, 0, 0, 0, 2, 1]> : tensor<6xindex>} : () -> !tosa.shape<6>
  %zero = "tosa.const"() {values = dense<-7> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = tosa.reshape %x, %shape : (tensor<1x3x1x8xi8>, !tosa.shape<3>) -> tensor<1x3x8xi8>
  %1 = tosa.pad %0, %around, %zero : (tensor<1x3x8xi8>, !tosa.shape<6>, tensor<1xi8>) -> tensor<1x3x11xi8>
  return %1 : tensor<1x3x11xi8>
}

// The maximum over a sequence is taken where the convolution left it.
// CHECK-LABEL: @maximum
// CHECK: %[[MAX:.*]] = tosa.reduce_max %arg0 {axis = 3 : i32} : (tensor<1x3x1x8xi8>) -> tensor<1x3x1x1xi8>
// CHECK: tosa.reshape %[[MAX]], {{.*}} -> tensor<1x3x1xi8>
func.func @maximum(%x: tensor<1x3x1x8xi8>) -> tensor<1x3x1xi8> {
  %shape = tosa.const_shape {values = dense<[1, 3, 8]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %0 = tosa.reshape %x, %shape : (tensor<1x3x1x8xi8>, !tosa.shape<3>) -> tensor<1x3x8xi8>
  %1 = tosa.reduce_max %0 {axis = 2 : i32} : (tensor<1x3x8xi8>) -> tensor<1x3x1xi8>
  return %1 : tensor<1x3x1xi8>
}

// A reshape that moves a dim of 1 to the front does not only drop some.
// CHECK-LABEL: @moved_unit
// CHECK: tosa.reshape %arg0, {{.*}} -> tensor<1x5x4xi32>
// CHECK: tosa.add
func.func @moved_unit(%x: tensor<5x1x1x4xi32>, %y: tensor<1x5x4xi32>) -> tensor<1x5x4xi32> {
  %shape = tosa.const_shape {values = dense<[1, 5, 4]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %0 = tosa.reshape %x, %shape : (tensor<5x1x1x4xi32>, !tosa.shape<3>) -> tensor<1x5x4xi32>
  %1 = tosa.add %0, %y : (tensor<1x5x4xi32>, tensor<1x5x4xi32>) -> tensor<1x5x4xi32>
  return %1 : tensor<1x5x4xi32>
}
