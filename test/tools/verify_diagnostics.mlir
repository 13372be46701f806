// RUN: tosaic-opt %s --split-input-file --verify-diagnostics

func.func @offset(%x: tensor<4xf32>, %y: tensor<5xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{operands don't have broadcast-compatible shapes}}
  %0 = tosa.add %x, %y : (tensor<4xf32>, tensor<5xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @below(%x: tensor<4xf32>, %y: tensor<5xf32>) -> tensor<4xf32> {
  // expected-error@below {{broadcast-compatible}}
  %0 = tosa.add %x, %y : (tensor<4xf32>, tensor<5xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @above(%x: tensor<4xf32>, %y: tensor<5xf32>) -> tensor<4xf32> {
  %0 = tosa.add %x, %y : (tensor<4xf32>, tensor<5xf32>) -> tensor<4xf32>
  // expected-error@above {{broadcast-compatible}}
  return %0 : tensor<4xf32>
}

// -----

func.func @same_line_and_regex(%x: tensor<4xf32>, %y: tensor<5xf32>) -> tensor<4xf32> {
  %0 = tosa.add %x, %y : (tensor<4xf32>, tensor<5xf32>) -> tensor<4xf32> // expected-error-re {{'tosa.{{a..}}' op operands}}
  return %0 : tensor<4xf32>
}

// -----

func.func @syntax(%x: tensor<4xf32>) {
  // expected-error@+1 {{custom op 'tosa.ad' is unknown}}
  %0 = tosa.ad %x
}

// -----

// expected-note@+1 {{see existing symbol definition here}}
func.func private @notes_too()
// expected-error@+1 {{redefinition of symbol named 'notes_too'}}
func.func private @notes_too()
