// RUN: tosaic-opt %s --split-input-file --tosaic-fold-qdq --canonicalize | filecheck %s

!x = !quant.uniform<i16:f32, 0.5>
!w = !quant.uniform<i8<-127:127>:f32:0, {0.5, 0.25}>
!y = !quant.uniform<i16:f32, 0.25>

// int16 with int8 weights sums in 48 bits: bias and rescale say so, with a 15-bit multiplier.
// CHECK: func.func @conv
// CHECK-DAG: %[[BIAS:.*]] = "tosa.const"() <{values = dense<[4, 8]> : tensor<2xi48>}>
// CHECK-DAG: %[[FACTORS:.*]] = "tosa.const"() <{values = dense<16384> : tensor<2xi16>}>
// CHECK: tosa.conv2d {{.*}}%[[BIAS]]{{.*}} {acc_type = i48, {{.*}} -> tensor<1x4x4x2xi48>
// CHECK: tosa.rescale {{.*}}%[[FACTORS]]{{.*}} {{{.*}}per_channel = true{{.*}}scale32 = false} {{.*}} -> tensor<1x4x4x2xi16>
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

!x = !quant.uniform<i16:f32, 0.5>
!y = !quant.uniform<i16:f32, 0.25>

// A sum of int16 is shifted left by 14, so that it stays within int32.
// CHECK: func.func @add
// CHECK-DAG: dense<16> : tensor<1xi8>
// CHECK-DAG: dense<17> : tensor<1xi8>
// CHECK-COUNT-2: tosa.rescale {{.*}}scale32 = true{{.*}} -> tensor<4xi32>
// CHECK: tosa.add {{.*}} -> tensor<4xi32>
// CHECK: tosa.rescale {{.*}} -> tensor<4xi16>
func.func @add(%x: tensor<4x!x>, %y: tensor<4x!y>) -> tensor<4x!y> {
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = quant.dcast %y : tensor<4x!y> to tensor<4xf32>
  %2 = tosa.add %0, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = quant.qcast %2 : tensor<4xf32> to tensor<4x!y>
  return %3 : tensor<4x!y>
}

// -----

!x = !quant.uniform<i16:f32, 0.5>

// A product reads int16 as it is: there is no zero point to take off.
// CHECK: func.func @mul
// CHECK-NOT: tosa.rescale
// CHECK: tosa.mul {{.*}} : (tensor<4xi16>, tensor<4xi16>, tensor<1xi8>) -> tensor<4xi32>
// CHECK: tosa.rescale {{.*}} -> tensor<4xi16>
func.func @mul(%x: tensor<4x!x>, %y: tensor<4x!x>) -> tensor<4x!x> {
  %s = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %0 = quant.dcast %x : tensor<4x!x> to tensor<4xf32>
  %1 = quant.dcast %y : tensor<4x!x> to tensor<4xf32>
  %2 = tosa.mul %0, %1, %s : (tensor<4xf32>, tensor<4xf32>, tensor<1xi8>) -> tensor<4xf32>
  %3 = quant.qcast %2 : tensor<4xf32> to tensor<4x!x>
  return %3 : tensor<4x!x>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i16:f32, 0.25>

// int8 times int16: MATMUL has one type, so the int8 operand is widened, without its zero point.
// CHECK: func.func @mixed_matmul
// CHECK: %[[WIDE:.*]] = tosa.rescale {{.*}} : (tensor<1x2x3xi8>, {{.*}} -> tensor<1x2x3xi16>
// CHECK: tosa.matmul %[[WIDE]], {{.*}} -> tensor<1x2x4xi48>
// CHECK: tosa.rescale {{.*}}scale32 = false{{.*}} -> tensor<1x2x4xi16>
func.func @mixed_matmul(%x: tensor<1x2x3x!x>, %y: tensor<1x3x4x!y>) -> tensor<1x2x4x!y> {
  %z = "tosa.const"() {values = dense<0.0> : tensor<1xf32>} : () -> tensor<1xf32>
  %0 = quant.dcast %x : tensor<1x2x3x!x> to tensor<1x2x3xf32>
  %1 = quant.dcast %y : tensor<1x3x4x!y> to tensor<1x3x4xf32>
  %2 = tosa.matmul %0, %1, %z, %z : (tensor<1x2x3xf32>, tensor<1x3x4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x2x4xf32>
  %3 = quant.qcast %2 : tensor<1x2x4xf32> to tensor<1x2x4x!y>
  return %3 : tensor<1x2x4x!y>
}

// -----

!x = !quant.uniform<i16:f32, 0.5>

// 2**17 values of 15 bits could leave int32: they are summed in units of two steps.
// CHECK: func.func @long_sum
// CHECK-DAG: %[[HALF:.*]] = "tosa.const"() <{values = dense<31> : tensor<1xi8>}>
// CHECK: tosa.rescale %{{.*}}, %{{.*}}, %[[HALF]]
// CHECK: tosa.reduce_sum
func.func @long_sum(%x: tensor<131072x!x>) -> tensor<1x!x> {
  %0 = quant.dcast %x : tensor<131072x!x> to tensor<131072xf32>
  %1 = tosa.reduce_sum %0 {axis = 0 : i32} : (tensor<131072xf32>) -> tensor<1xf32>
  %2 = quant.qcast %1 : tensor<1xf32> to tensor<1x!x>
  return %2 : tensor<1x!x>
}

// -----

!x = !quant.uniform<i16:f32, 0.5>

// A constant of whole steps is an int16 like the other operand, and nothing is shifted.
// CHECK: func.func @add_whole_steps
// CHECK-DAG: "tosa.const"() <{values = dense<[3, -4]> : tensor<2xi16>}>
// CHECK-DAG: "tosa.const"() <{values = dense<30> : tensor<1xi8>}>
// CHECK-COUNT-2: tosa.rescale {{.*}} : (tensor<2xi16>, {{.*}} -> tensor<2xi32>
// CHECK: tosa.add
// CHECK: tosa.rescale {{.*}} -> tensor<2xi16>
func.func @add_whole_steps(%x: tensor<2x!x>) -> tensor<2x!x> {
  %c = "tosa.const"() {values = dense<[1.5, -2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %0 = quant.dcast %x : tensor<2x!x> to tensor<2xf32>
  %1 = tosa.add %0, %c : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %2 = quant.qcast %1 : tensor<2xf32> to tensor<2x!x>
  return %2 : tensor<2x!x>
}

// -----

!x = !quant.uniform<i16:f32, 0.5>

// Any other has the scale that its largest element asks for,
// CHECK: func.func @add_any
// CHECK-DAG: "tosa.const"() <{values = dense<[32767, -16384]> : tensor<2xi16>}>
func.func @add_any(%x: tensor<2x!x>) -> tensor<2x!x> {
  %c = "tosa.const"() {values = dense<[1.6, -0.8]> : tensor<2xf32>} : () -> tensor<2xf32>
  %0 = quant.dcast %x : tensor<2x!x> to tensor<2xf32>
  %1 = tosa.add %0, %c : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %2 = quant.qcast %1 : tensor<2xf32> to tensor<2x!x>
  return %2 : tensor<2x!x>
}

// -----

!x = !quant.uniform<i16:f32, 0.5>
!y = !quant.uniform<i16:f32, 0.01>

// and is an int32 where that is too coarse for the result.
// CHECK: func.func @add_coarse
// CHECK-DAG: "tosa.const"() <{values = {{.*}} : tensor<2xi32>}>
// CHECK: tosa.add {{.*}} -> tensor<2xi32>
func.func @add_coarse(%x: tensor<2x!x>) -> tensor<2x!y> {
  %c = "tosa.const"() {values = dense<[8000.0, 0.117]> : tensor<2xf32>} : () -> tensor<2xf32>
  %0 = quant.dcast %x : tensor<2x!x> to tensor<2xf32>
  %1 = tosa.add %0, %c : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %2 = quant.qcast %1 : tensor<2xf32> to tensor<2x!y>
  return %2 : tensor<2x!y>
}
