// RUN: tosaic-opt %s --split-input-file --verify-diagnostics --tosaic-specialize-shapes=dims=s0:4

// expected-error@below {{s1 has no size. Its dynamic dims are s0 = x.0 (2 to 16), s1 = x.1 (8 or more)}}
func.func @missing(%x: tensor<?x?xf32> {tosaic.name = "x", tosaic.dims = ["s0:2..16", "s1:8..int_oo"]}) -> tensor<?x?xf32> {
  return %x : tensor<?x?xf32>
}

// -----

// expected-error@below {{Size 4 of dim 'x.0' is out of range. Its dynamic dims are s0 = x.0 (8 to 16)}}
func.func @range(%x: tensor<?xf32> {tosaic.name = "x", tosaic.dims = ["s0:8..16"]}) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}

// -----

// expected-error@below {{The model has no dynamic dim 's0'. Its dynamic dims are s7 = x.0 = y.1 (2 to 16)}}
func.func @unknown(%x: tensor<?xf32> {tosaic.name = "x", tosaic.dims = ["s7:2..16"]},
                   %y: tensor<1x?xf32> {tosaic.name = "y", tosaic.dims = ["1", "s7:2..16"]}) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}

// -----

// expected-error@below {{The model has no dynamic dim 's0'. It has none}}
func.func @static(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// A shape that depends on values cannot follow from the arguments' sizes.
func.func @values(%x: !torch.vtensor<[?],f32> {tosaic.name = "x", tosaic.dims = ["s0:2..16"]}) -> !torch.vtensor<[?,1],si64> {
  // expected-error@below {{the shape of the result of aten.nonzero is not known from the shapes of its operands}}
  %0 = torch.aten.nonzero %x : !torch.vtensor<[?],f32> -> !torch.vtensor<[?,1],si64>
  return %0 : !torch.vtensor<[?,1],si64>
}
