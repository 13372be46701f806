// RUN: tosaic-opt %s --tosaic-lower-transpose-conv | filecheck %s

// Two row phases, each with RESCALE and CLAMP of its own; the columns' phases are channels.
// CHECK-LABEL: @upsample
func.func @upsample(%x: tensor<1x8x8x16xi8>) -> tensor<1x16x16x4xi8> {
  // CHECK: tosa.conv2d {{.*}} tensor<8x2x3x16xi8>{{.*}} -> tensor<1x8x8x8xi32>
  // CHECK: tosa.rescale
  // CHECK: tosa.clamp
  // CHECK: tosa.conv2d {{.*}} tensor<8x2x3x16xi8>{{.*}} -> tensor<1x8x8x8xi32>
  // CHECK: tosa.rescale
  // CHECK: tosa.clamp
  // CHECK: tosa.concat {{.*}} -> tensor<1x8x16x8xi8>
  // CHECK: tosa.reshape {{.*}} -> tensor<1x16x16x4xi8>
  // CHECK-NOT: tosa.transpose_conv2d
  %w = "tosa.const"() {values = dense<1> : tensor<4x4x4x16xi8>} : () -> tensor<4x4x4x16xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<4xi32>} : () -> tensor<4xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %zi = "tosa.const"() {values = dense<0> : tensor<1xi32>} : () -> tensor<1xi32>
  %m = "tosa.const"() {values = dense<1073741824> : tensor<1xi32>} : () -> tensor<1xi32>
  %s = "tosa.const"() {values = dense<40> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.transpose_conv2d %x, %w, %b, %z, %z {acc_type = i32, out_pad = array<i64: -1, -1, -1, -1>, stride = array<i64: 2, 2>} : (tensor<1x8x8x16xi8>, tensor<4x4x4x16xi8>, tensor<4xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x16x16x4xi32>
  %r = tosa.rescale %y, %m, %s, %zi, %z {scale32 = true, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x16x16x4xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x16x16x4xi8>
  %c = tosa.clamp %r {min_val = 0 : i8, max_val = 127 : i8} : (tensor<1x16x16x4xi8>) -> tensor<1x16x16x4xi8>
  return %c : tensor<1x16x16x4xi8>
}

// int16 sums in 48 bits: so do the phases, with biases of that type.
// CHECK-LABEL: @int16
func.func @int16(%x: tensor<1x8x8x16xi16>) -> tensor<1x16x16x4xi16> {
  // CHECK: tosa.conv2d {{.*}} tensor<8x2x3x16xi8>{{.*}} -> tensor<1x8x8x8xi48>
  // CHECK: tosa.rescale
  // CHECK: tosa.clamp
  // CHECK: tosa.conv2d {{.*}} tensor<8x2x3x16xi8>{{.*}} -> tensor<1x8x8x8xi48>
  // CHECK: tosa.rescale
  // CHECK: tosa.clamp
  // CHECK: tosa.concat {{.*}} -> tensor<1x8x16x8xi16>
  // CHECK: tosa.reshape {{.*}} -> tensor<1x16x16x4xi16>
  // CHECK-NOT: tosa.transpose_conv2d
  %w = "tosa.const"() {values = dense<1> : tensor<4x4x4x16xi8>} : () -> tensor<4x4x4x16xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<4xi48>} : () -> tensor<4xi48>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %zx = "tosa.const"() {values = dense<0> : tensor<1xi16>} : () -> tensor<1xi16>
  %zi = "tosa.const"() {values = dense<0> : tensor<1xi48>} : () -> tensor<1xi48>
  %m = "tosa.const"() {values = dense<16384> : tensor<1xi16>} : () -> tensor<1xi16>
  %s = "tosa.const"() {values = dense<40> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.transpose_conv2d %x, %w, %b, %zx, %z {acc_type = i48, out_pad = array<i64: -1, -1, -1, -1>, stride = array<i64: 2, 2>} : (tensor<1x8x8x16xi16>, tensor<4x4x4x16xi8>, tensor<4xi48>, tensor<1xi16>, tensor<1xi8>) -> tensor<1x16x16x4xi48>
  %r = tosa.rescale %y, %m, %s, %zi, %zx {scale32 = false, rounding_mode = SINGLE_ROUND, per_channel = false, input_unsigned = false, output_unsigned = false} : (tensor<1x16x16x4xi48>, tensor<1xi16>, tensor<1xi8>, tensor<1xi48>, tensor<1xi16>) -> tensor<1x16x16x4xi16>
  %c = tosa.clamp %r {min_val = 0 : i16, max_val = 127 : i16} : (tensor<1x16x16x4xi16>) -> tensor<1x16x16x4xi16>
  return %c : tensor<1x16x16x4xi16>
}

// Without a RESCALE there is nothing to gain.
// CHECK-LABEL: @accumulator
// CHECK: tosa.transpose_conv2d
func.func @accumulator(%x: tensor<1x8x8x16xi8>) -> tensor<1x16x16x4xi32> {
  %w = "tosa.const"() {values = dense<1> : tensor<4x4x4x16xi8>} : () -> tensor<4x4x4x16xi8>
  %b = "tosa.const"() {values = dense<0> : tensor<4xi32>} : () -> tensor<4xi32>
  %z = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  %y = tosa.transpose_conv2d %x, %w, %b, %z, %z {acc_type = i32, out_pad = array<i64: -1, -1, -1, -1>, stride = array<i64: 2, 2>} : (tensor<1x8x8x16xi8>, tensor<4x4x4x16xi8>, tensor<4xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x16x16x4xi32>
  return %y : tensor<1x16x16x4xi32>
}
