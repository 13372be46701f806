"""Quantisation of PyTorch models by PT2E, driven by the op table."""

import logging

from tosaic.collector import collector_paused

# torchao warns of optional CUDA extensions that do not load; nobody here can act on it.
for _logger in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_logger).setLevel(logging.ERROR)

with collector_paused():  # torchao brings torch.compile's modules along
    from tosaic.quantizer.prepare import quantize
    from tosaic.quantizer.tosa_quantizer import TosaQuantizer

__all__ = ["TosaQuantizer", "quantize"]
