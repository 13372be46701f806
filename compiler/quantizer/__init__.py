"""Quantisation of PyTorch models by PT2E, driven by the op table.

The public names load on first use: torchao, which all but the recipe stand on, is slow to import.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from tosaic.collector import collector_paused
from tosaic.quantizer.recipe import Override, QuantRecipe, Scheme, find_recipe

if TYPE_CHECKING:
    from tosaic.quantizer.prepare import quantize
    from tosaic.quantizer.tosa_quantizer import TosaQuantizer
    from tosaic.quantizer.training import finish_training, prepare_training

_LAZY = {
    "TosaQuantizer": "tosa_quantizer",
    "finish_training": "training",
    "prepare_training": "training",
    "quantize": "prepare",
}

__all__ = [
    "Override",
    "QuantRecipe",
    "Scheme",
    "TosaQuantizer",
    "find_recipe",
    "finish_training",
    "prepare_training",
    "quantize",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'tosaic.quantizer' has no attribute '{name}'")
    # torchao warns of optional CUDA extensions that do not load; nobody here can act on it.
    for logger in ("torchao", "torch.utils._pytree"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    with collector_paused():  # torchao brings torch.compile's modules along
        return getattr(importlib.import_module(f"tosaic.quantizer.{_LAZY[name]}"), name)
