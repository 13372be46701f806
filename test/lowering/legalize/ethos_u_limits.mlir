// RUN: tosaic-opt %s --tosaic-check-ethos-u --verify-diagnostics
// RUN: tosaic-opt %s --pass-pipeline='builtin.module(tosaic-check-ethos-u{accelerator=u85})' | filecheck %s

// U85 takes all of it.
// CHECK-LABEL: @beyond_u55
func.func @beyond_u55(%x: tensor<1x4x4x128xi8>, %y: tensor<1x4x4x8xi32>) -> (tensor<1x4x4xi32>, tensor<1x1x4x8xi32>, tensor<1x4x4x8xi1>) {
  // expected-error @+1 {{tosa.argmax has 128 channels; Ethos-U55 takes up to 127 8-bit channels on the last axis. Take the argmax on the host, or target U85.}}
  %0 = tosa.argmax %x {axis = 3 : i32} : (tensor<1x4x4x128xi8>) -> tensor<1x4x4xi32>
  // expected-error @+1 {{tosa.reduce_max has 32-bit operands; Ethos-U55 takes 8 and 16 bits}}
  %1 = tosa.reduce_max %y {axis = 1 : i32} : (tensor<1x4x4x8xi32>) -> tensor<1x1x4x8xi32>
  // expected-error @+1 {{tosa.greater does not run on Ethos-U55}}
  %2 = tosa.greater %y, %y : (tensor<1x4x4x8xi32>, tensor<1x4x4x8xi32>) -> tensor<1x4x4x8xi1>
  return %0, %1, %2 : tensor<1x4x4xi32>, tensor<1x1x4x8xi32>, tensor<1x4x4x8xi1>
}

func.func @within(%x: tensor<1x4x4x127xi8>, %y: tensor<1x4x4x8xi16>) -> (tensor<1x4x4xi32>, tensor<1x1x4x8xi16>) {
  %0 = tosa.argmax %x {axis = 3 : i32} : (tensor<1x4x4x127xi8>) -> tensor<1x4x4xi32>
  %1 = tosa.reduce_max %y {axis = 1 : i32} : (tensor<1x4x4x8xi16>) -> tensor<1x1x4x8xi16>
  return %0, %1 : tensor<1x4x4xi32>, tensor<1x1x4x8xi16>
}
