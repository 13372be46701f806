"""Quantisation of PyTorch models by PT2E, driven by the op table."""

import logging

# torchao warns of optional CUDA extensions that do not load; nobody here can act on it.
for _logger in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_logger).setLevel(logging.ERROR)

from tosaic.quantizer.prepare import quantize  # noqa: E402
from tosaic.quantizer.tosa_quantizer import TosaQuantizer  # noqa: E402

__all__ = ["TosaQuantizer", "quantize"]
