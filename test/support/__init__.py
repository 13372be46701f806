"""What tests of several folders share: models, nets of one function, MLIR functions, op cases."""
