"""MLIR dialects as tosaic uses them: bindings, locations, types and the op builder."""
