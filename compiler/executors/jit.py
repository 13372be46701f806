"""The host JIT: TOSA through linalg to machine code in this process."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from tosaic.dialects.bindings import execution_engine, ir, make_context
from tosaic.emit.functions import bytecode, entry_function
from tosaic.emit.manifest import Manifest, array_dtype
from tosaic.executors.executor import Array, checked_inputs
from tosaic.executors.jit_lowering import lower

_ENTRY = "main"
# Level 3 makes MobileNetV2 a fifth faster and takes half as long again to compile.
_OPT_LEVEL = 2
# Optimising takes a tenth of a second; so many turns of loops, a tenth of a millisecond without.
_SHORT = 20_000
# The engine's calling convention: an array of pointers to the arguments, which are pointers.
_PACKED = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class JitExecutor:
    """Compiled once, in a context of its own, so that nothing of the compile outlives it."""

    def __init__(self, module: ir.Module, flatbuffer: bytes | None = None) -> None:
        """Compile a copy of `module`; see `make_executor` for the errors."""
        del flatbuffer  # it is compiled from the module
        self._manifest = Manifest.from_module(module).held
        context = make_context()
        with context:
            copy = ir.Module.parse(bytecode(module.operation))
            entry_function(copy).attributes["sym_name"] = ir.StringAttr.get(_ENTRY)
            level = _OPT_LEVEL if lower(copy) > _SHORT else 0
            self._engine = execution_engine().ExecutionEngine(copy, opt_level=level)
        self._main = _PACKED(self._engine.raw_lookup(_ENTRY))

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Return main's results; see `Executor.run`."""
        arrays = checked_inputs(self._manifest, inputs)
        outputs = [np.zeros(info.shape, array_dtype(info)) for info in self._manifest.outputs]
        addresses = [array.ctypes.data for array in (*arrays, *outputs)]
        pointers = (ctypes.c_void_p * len(addresses))(*addresses)
        self._main(_addresses_of(pointers))
        for array, info in zip(outputs, self._manifest.outputs, strict=True):
            if info.dtype == "int48":  # the upper 16 bits are not written: extend the sign
                array[...] = (array << 16) >> 16
        return outputs


def _addresses_of(pointers: ctypes.Array[ctypes.c_void_p]) -> ctypes.Array[ctypes.c_void_p]:
    size, start = ctypes.sizeof(ctypes.c_void_p), ctypes.addressof(pointers)
    return (ctypes.c_void_p * len(pointers))(*[start + k * size for k in range(len(pointers))])
