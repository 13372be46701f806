// RUN: tosaic-opt %s --split-input-file --tosaic-fold-qdq | filecheck %s

!x = !quant.uniform<i8:f32, 0.5:3>
!w = !quant.uniform<i8<-127:127>:f32:0, {0.5, 0.25}>
!y = !quant.uniform<i8:f32, 0.25:-1>

// int8 operands with zero points, bias in units of 0.5*0.5 and 0.5*0.25, one rescale per channel.
// CHECK: func.func @conv
// CHECK: %[[ZERO:.*]] = "tosa.const"() <{values = dense<3> : tensor<1xi8>}>
// CHECK: %[[BIAS:.*]] = "tosa.const"() <{values = dense<[4, 8]> : tensor<2xi32>}>
// CHECK: tosa.conv2d %{{.*}}, %{{.*}}, %[[BIAS]], %[[ZERO]], %{{.*}} {acc_type = i32, {{.*}} -> tensor<1x4x4x2xi32>
// CHECK: tosa.rescale {{.*}}per_channel = true{{.*}} -> tensor<1x4x4x2xi8>
// CHECK-NOT: quant.qcast
func.func @conv(%x: tensor<1x4x4x3x!x>) -> tensor<1x4x4x2x!y> {
  %q = "tosa.const"() {values = dense<1> : tensor<2x1x1x3xi8>} : () -> tensor<2x1x1x3x!w>
  %w = quant.dcast %q : tensor<2x1x1x3x!w> to tensor<2x1x1x3xf32>
  %b = "tosa.const"() {values = dense<1.0> : tensor<2xf32>} : () -> tensor<2xf32>
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %d = quant.dcast %x : tensor<1x4x4x3x!x> to tensor<1x4x4x3xf32>
  %0 = tosa.conv2d %d, %w, %b, %z, %z {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x4x4x3xf32>, tensor<2x1x1x3xf32>, tensor<2xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x4x4x2xf32>
  %1 = quant.qcast %0 : tensor<1x4x4x2xf32> to tensor<1x4x4x2x!y>
  return %1 : tensor<1x4x4x2x!y>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i8:f32, 0.25:-1>

// Operands of a sum are brought to one unit in int32.
// CHECK: func.func @add
// CHECK-COUNT-2: tosa.rescale {{.*}} -> tensor<4xi32>
// CHECK: tosa.add {{.*}} -> tensor<4xi32>
// CHECK: tosa.rescale {{.*}} -> tensor<4xi8>
func.func @add(%x: tensor<4x!x>, %y: tensor<4x!y>) -> tensor<4x!y> {
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = quant.dcast %y : tensor<4x!y> to tensor<4xf32>
  %2 = tosa.add %0, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = quant.qcast %2 : tensor<4xf32> to tensor<4x!y>
  return %3 : tensor<4x!y>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i8:f32, 0.25:-1>

// CHECK: func.func @matmul
// CHECK: tosa.matmul {{.*}} -> tensor<1x2x4xi32>
// CHECK: tosa.rescale {{.*}}per_channel = false{{.*}} -> tensor<1x2x4xi8>
func.func @matmul(%x: tensor<1x2x3x!x>, %y: tensor<1x3x4x!x>) -> tensor<1x2x4x!y> {
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %0 = quant.dcast %x : tensor<1x2x3x!x> to tensor<1x2x3xf32>
  %1 = quant.dcast %y : tensor<1x3x4x!x> to tensor<1x3x4xf32>
  %2 = tosa.matmul %0, %1, %z, %z : (tensor<1x2x3xf32>, tensor<1x3x4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x2x4xf32>
  %3 = quant.qcast %2 : tensor<1x2x4xf32> to tensor<1x2x4x!y>
  return %3 : tensor<1x2x4x!y>
}

// -----

!y = !quant.uniform<i8:f32, 0.25:-1>

// An input that nothing quantised: the island stays, tosaic-strip-quant-types reports it.
// CHECK: func.func @not
// CHECK: tosa.add {{.*}} -> tensor<4xf32>
// CHECK: quant.qcast
func.func @not(%x: tensor<4xf32>, %y: tensor<4x!y>) -> tensor<4x!y> {
  %1 = quant.dcast %y : tensor<4x!y> to tensor<4xf32>
  %2 = tosa.add %x, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = quant.qcast %2 : tensor<4xf32> to tensor<4x!y>
  return %3 : tensor<4x!y>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>

// A mask of minus infinity: 2**29 units below, out of the result's range whatever is added.
// CHECK: func.func @mask
// CHECK: dense<[0, -536870912, 0, 0]> : tensor<4xi32>
// CHECK: tosa.add {{.*}} -> tensor<4xi32>
func.func @mask(%x: tensor<4x!x>) -> tensor<4x!x> {
  %m = "tosa.const"() {values = dense<[0.0, 0xFF800000, 0.0, 0.0]> : tensor<4xf32>} : () -> tensor<4xf32>
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = tosa.add %0, %m : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.qcast %1 : tensor<4xf32> to tensor<4x!x>
  return %2 : tensor<4x!x>
}
