// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-narrow-int64
// RUN: not tosaic-opt %s --tosaic-narrow-int64=assume-inputs-fit=false 2>&1 | filecheck %s --check-prefix=INPUTS
// INPUTS: argument 0 is int64 and may hold values beyond int32

// With inputs of 8 bits a product of five still does not fit.
func.func @product(%x: tensor<4xi64>) -> tensor<4xi64> {
  %shift = "tosa.const"() {values = dense<0> : tensor<1xi8>} : () -> tensor<1xi8>
  // expected-error@below {{the int64 result of tosa.mul on [-2147483648, 2147483647], [-2147483648, 2147483647], [0, 0] lies in [-4611686016279904256, 4611686018427387904], which exceeds int32}}
  %0 = tosa.mul %x, %x, %shift : (tensor<4xi64>, tensor<4xi64>, tensor<1xi8>) -> tensor<4xi64>
  // expected-error@below {{which exceeds int32}}
  %1 = tosa.mul %0, %0, %shift : (tensor<4xi64>, tensor<4xi64>, tensor<1xi8>) -> tensor<4xi64>
  // expected-error@below {{which exceeds int32}}
  %2 = tosa.mul %1, %x, %shift : (tensor<4xi64>, tensor<4xi64>, tensor<1xi8>) -> tensor<4xi64>
  return %2 : tensor<4xi64>
}

// -----

func.func @constant(%x: tensor<1xi64>) -> tensor<1xi64> {
  // expected-error@below {{lies in [4294967296, 4294967296], which exceeds int32}}
  %big = "tosa.const"() {values = dense<4294967296> : tensor<1xi64>} : () -> tensor<1xi64>
  %0 = tosa.minimum %x, %big : (tensor<1xi64>, tensor<1xi64>) -> tensor<1xi64>
  return %0 : tensor<1xi64>
}

// -----

func.func @from_float(%x: tensor<4xf32>) -> tensor<4xi64> {
  // expected-error@below {{the range of the int64 result of tosa.cast is not known; limit it with torch.clamp}}
  %0 = tosa.cast %x : (tensor<4xf32>) -> tensor<4xi64>
  return %0 : tensor<4xi64>
}

// -----

// The same after a clamp is fine.
func.func @from_limited_float(%x: tensor<4xf32>) -> tensor<4xi64> {
  %0 = tosa.clamp %x {min_val = 0.0 : f32, max_val = 99.5 : f32} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = tosa.cast %0 : (tensor<4xf32>) -> tensor<4xi64>
  return %1 : tensor<4xi64>
}

// -----

// A saturated number plus one is another number.
func.func @float_plus_one(%x: tensor<4xf32>) -> tensor<4xi32> {
  %one = "tosa.const"() {values = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
  // expected-error@below {{the range of the int64 result of tosa.cast is not known; limit it with torch.clamp}}
  %0 = tosa.cast %x : (tensor<4xf32>) -> tensor<4xi64>
  // expected-error@below {{which exceeds int32}}
  %1 = tosa.add %0, %one : (tensor<4xi64>, tensor<1xi64>) -> tensor<4xi64>
  %2 = tosa.cast %1 : (tensor<4xi64>) -> tensor<4xi32>
  return %2 : tensor<4xi32>
}
