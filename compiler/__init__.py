"""tosaic: PyTorch models to Arm NPUs and microcontrollers, through MLIR's TOSA dialect.

The public names load on first use, so that importing a part of the package stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tosaic.collector import collector_paused

if TYPE_CHECKING:
    from tosaic.api import CompiledProgram, compile
    from tosaic.errors import CompileError, TosaicError
    from tosaic.quantizer import Override, QuantRecipe, TosaQuantizer
    from tosaic.reports.numerics import numerics
    from tosaic.targets import Target, target
    from tosaic.tuning.evaluate import evaluate
    from tosaic.tuning.tune import tune

_PUBLIC = {
    "CompileError": "tosaic.errors",
    "CompiledProgram": "tosaic.api",
    "Override": "tosaic.quantizer",
    "QuantRecipe": "tosaic.quantizer",
    "Target": "tosaic.targets",
    "TosaQuantizer": "tosaic.quantizer",
    "TosaicError": "tosaic.errors",
    "compile": "tosaic.api",
    "evaluate": "tosaic.tuning.evaluate",
    "numerics": "tosaic.reports.numerics",
    "target": "tosaic.targets",
    "tune": "tosaic.tuning.tune",
}

__version__ = "0.1.0"
__all__ = [
    "CompileError",
    "CompiledProgram",
    "Override",
    "QuantRecipe",
    "Target",
    "TosaQuantizer",
    "TosaicError",
    "compile",
    "evaluate",
    "numerics",
    "target",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tosaic' has no attribute '{name}'")
    with collector_paused():
        return getattr(importlib.import_module(_PUBLIC[name]), name)
