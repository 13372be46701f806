"""Quantisation of PyTorch models by PT2E, driven by the op table."""

from tosaic.quantizer.prepare import quantize
from tosaic.quantizer.tosa_quantizer import TosaQuantizer

__all__ = ["TosaQuantizer", "quantize"]
