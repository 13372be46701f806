"""Small programs in MLIR: control flow, variables, and chains that the runtime fuses."""

COUNTER = """
  tosa.variable @count = dense<[3, 5]> : tensor<2xi32>
  func.func @main(%x: tensor<2xi32>) -> tensor<2xi32> {
    %old = tosa.variable_read @count : tensor<2xi32>
    %new = tosa.add %old, %x : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi32>
    tosa.variable_write @count, %new : tensor<2xi32>
    return %old : tensor<2xi32> }"""

LOOP = """
  func.func @main(%i: tensor<i32>, %x: tensor<2xi32>) -> (tensor<i32>, tensor<2xi32>) {
    %0:2 = tosa.while_loop (%a = %i, %b = %x) :
        (tensor<i32>, tensor<2xi32>) -> (tensor<i32>, tensor<2xi32>) {
      %limit = "tosa.const"() <{values = dense<5> : tensor<i32>}> : () -> tensor<i32>
      %1 = tosa.greater %limit, %a : (tensor<i32>, tensor<i32>) -> tensor<i1>
      tosa.yield %1 : tensor<i1>
    } do {
    ^bb0(%a: tensor<i32>, %b: tensor<2xi32>):
      %one = "tosa.const"() <{values = dense<1> : tensor<i32>}> : () -> tensor<i32>
      %1 = tosa.add %a, %one : (tensor<i32>, tensor<i32>) -> tensor<i32>
      %2 = tosa.add %b, %b : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi32>
      tosa.yield %1, %2 : tensor<i32>, tensor<2xi32>
    }
    return %0#0, %0#1 : tensor<i32>, tensor<2xi32> }"""

CHOICE = """
  func.func @main(%c: tensor<i1>, %x: tensor<2xi32>) -> tensor<2xi32> {
    %0 = tosa.cond_if %c (%a = %x) : tensor<i1> (tensor<2xi32>) -> tensor<2xi32> {
    ^bb0(%a: tensor<2xi32>):
      %1 = tosa.add %a, %a : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi32>
      tosa.yield %1 : tensor<2xi32>
    } else {
    ^bb0(%b: tensor<2xi32>):
      tosa.yield %b : tensor<2xi32>
    }
    return %0 : tensor<2xi32> }"""

CUSTOM = """
  func.func @main(%x: tensor<2xi8>) -> tensor<2xi8> {
    %0 = tosa.custom %x {domain_name = "d", implementation_attrs = "", operator_name = "o"} :
      (tensor<2xi8>) -> tensor<2xi8>
    return %0 : tensor<2xi8> }"""

FUSED = """
  func.func @main(%x: tensor<1x4x3xi8>, %y: tensor<1x3x5xi8>) -> tensor<1x4x5xi8> {
    %zp = "tosa.const"() <{values = dense<3> : tensor<1xi8>}> : () -> tensor<1xi8>
    %zero = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
    %m = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
    %s = "tosa.const"() <{values = dense<36> : tensor<1xi8>}> : () -> tensor<1xi8>
    %0 = tosa.matmul %x, %y, %zp, %zp :
      (tensor<1x4x3xi8>, tensor<1x3x5xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4x5xi32>
    %1 = tosa.rescale %0, %m, %s, %zero, %zp {input_unsigned = false, output_unsigned = false,
      per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} :
      (tensor<1x4x5xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>)
      -> tensor<1x4x5xi8>
    %2 = tosa.clamp %1 {min_val = -100 : i8, max_val = 100 : i8} :
      (tensor<1x4x5xi8>) -> tensor<1x4x5xi8>
    return %2 : tensor<1x4x5xi8> }"""

CHAIN = """
  func.func @main(%x: tensor<1xi32>) -> tensor<1xi32> {
    %shift = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
    %0 = tosa.cast %x : (tensor<1xi32>) -> tensor<1xi8>
    %1 = tosa.cast %0 : (tensor<1xi8>) -> tensor<1xi32>
    %2 = tosa.mul %1, %1, %shift : (tensor<1xi32>, tensor<1xi32>, tensor<1xi8>) -> tensor<1xi32>
    return %2 : tensor<1xi32> }"""

CONSTANT_SLICE = """
  func.func @main(%x: tensor<2xi8>) -> tensor<2xi8> {
    %c = "tosa.const"() <{values = dense<[1, 2, 3, 4]> : tensor<4xi8>}> : () -> tensor<4xi8>
    %start = tosa.const_shape {values = dense<0> : tensor<1xindex>} : () -> !tosa.shape<1>
    %size = tosa.const_shape {values = dense<2> : tensor<1xindex>} : () -> !tosa.shape<1>
    %0 = tosa.slice %c, %start, %size :
      (tensor<4xi8>, !tosa.shape<1>, !tosa.shape<1>) -> tensor<2xi8>
    %1 = tosa.bitwise_xor %x, %0 : (tensor<2xi8>, tensor<2xi8>) -> tensor<2xi8>
    return %1 : tensor<2xi8> }"""

WIDEN = """
  func.func @main(%x: tensor<64xi8>) -> tensor<64xi32> {
    %0 = tosa.cast %x : (tensor<64xi8>) -> tensor<64xi32>
    return %0 : tensor<64xi32> }"""

PROGRAMS = {
    "constant slice": CONSTANT_SLICE,
    "chain": CHAIN,
    "counter": COUNTER,
    "loop": LOOP,
    "choice": CHOICE,
    "custom": CUSTOM,
    "fused": FUSED,
}
