"""What every pass on FX graphs is made of: facts about nodes, building, matching, running.

The graph before MLIR is PyTorch's own. What MLIR gives its passes (names, documentation, printing,
verification, errors with a reproducer) the passes here have too; see `tosaic.graph.passes`.
"""
