"""The one place that imports MLIR's Python bindings.

Every other file takes ``ir``, ``rewrite``, ``PassManager`` and the dialect modules from here, so
the pass library can run on another package's bindings. The package is chosen once per process by
``TOSAIC_MLIR_BINDINGS`` (default ``torch_mlir``): objects of two MLIR copies must never mix.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

PACKAGE = os.environ.get("TOSAIC_MLIR_BINDINGS", "torch_mlir")

if TYPE_CHECKING:
    from torch_mlir import ir, rewrite
    from torch_mlir.dialects import func, quant, tosa
    from torch_mlir.passmanager import PassManager
else:
    ir = importlib.import_module(f"{PACKAGE}.ir")
    rewrite = importlib.import_module(f"{PACKAGE}.rewrite")
    PassManager = importlib.import_module(f"{PACKAGE}.passmanager").PassManager
    func = importlib.import_module(f"{PACKAGE}.dialects.func")
    quant = importlib.import_module(f"{PACKAGE}.dialects.quant")
    tosa = importlib.import_module(f"{PACKAGE}.dialects.tosa")

HAS_TORCH_DIALECT = PACKAGE == "torch_mlir"

__all__ = [
    "HAS_TORCH_DIALECT",
    "PACKAGE",
    "PassManager",
    "execution_engine",
    "func",
    "ir",
    "make_context",
    "quant",
    "rewrite",
    "tosa",
]


def make_context() -> ir.Context:
    """Return a context with every dialect that a tosaic pipeline can meet.

    Single-threaded: Python passes hold the GIL, and a compile is too small to profit from threads.
    """
    context = ir.Context()
    context.enable_multithreading(False)
    if HAS_TORCH_DIALECT:
        torch_dialect: Any = importlib.import_module(f"{PACKAGE}.dialects.torch")
        torch_dialect.register_dialect(context)
        # torch_c has no registration call of its own; a pass that depends on it loads it.
        with context, ir.Location.unknown():
            PassManager.parse("builtin.module(torch-func-backend-type-conversion)").run(
                ir.Module.create().operation
            )
    return context


def execution_engine() -> Any:
    """Return the ``execution_engine`` module (imported on demand: it loads LLVM's JIT)."""
    return importlib.import_module(f"{PACKAGE}.execution_engine")
