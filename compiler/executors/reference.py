"""The TOSA reference model: slow, and right by definition."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.emit.manifest import Manifest, numpy_dtype_of
from tosaic.emit.serialize import serialize
from tosaic.errors import ToolError
from tosaic.executors.executor import Array, checked_inputs

_WORKER = Path(__file__).with_name("reference_worker.py")
_NOISE = ("WARNING", "REQUIRE", "ERROR_IF", "/")


class ReferenceExecutor:
    """Runs the program's flatbuffer in a worker process that all reference executors share."""

    def __init__(self, module: ir.Module, flatbuffer: bytes | None = None) -> None:
        """Make the program ready; see `make_executor` for the errors."""
        self._manifest = Manifest.from_module(module).held
        tensors = (*self._manifest.inputs, *self._manifest.outputs)
        if any(info.dtype == "int48" for info in tensors):
            raise ToolError(
                "The TOSA reference model's Python binding returns nothing for int48 inputs and "
                "outputs. Rescale to int32 inside the program, or use the jit executor."
            )
        self._dtypes = [numpy_dtype_of(info) for info in self._manifest.outputs]
        self._program = flatbuffer or serialize(module)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Return main's results; see `Executor.run`."""
        arrays = checked_inputs(self._manifest, inputs)
        outputs = _worker().run(self._program, [_as_bits(array) for array in arrays])
        return [
            _from_bits(array, dtype).reshape(info.shape)
            for array, dtype, info in zip(
                outputs, self._dtypes, self._manifest.outputs, strict=True
            )
        ]


def _as_bits(array: Array) -> Array:
    """Return bfloat16, which numpy itself has not, as the binding takes it."""
    return array.view(np.uint16) if array.dtype.name == "bfloat16" else array


def _from_bits(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return what the binding gives as `dtype`; bfloat16 comes as bytes without a type."""
    return array.view(dtype) if array.dtype.kind == "V" else array.astype(dtype, copy=False)


class _Worker:
    """The worker process; started on first use, and again after a crash."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile(prefix="tosaic-")  # noqa: SIM115

    def run(self, program: bytes, inputs: list[Array]) -> list[Array]:
        """Run `program` (a flatbuffer).

        Raises:
            ToolError: the model refuses the program, or crashes on it.
        """
        with self._lock:
            self._log.seek(0)
            self._log.truncate()
            try:
                outputs, status, error = self._ask((program, inputs))
            except (OSError, EOFError, pickle.UnpicklingError):
                self._process = None
                raise ToolError(
                    f"The TOSA reference model crashed: {self._message('no reason given')}. For "
                    "these inputs the program does something TOSA does not allow; validate() "
                    "tells whether the program itself is legal."
                ) from None
            if error:
                raise ToolError(
                    f"The TOSA reference model cannot run the program: {self._message(error)}. "
                    "validate() tells whether the program is legal TOSA."
                )
            if status != "TOSA_VALID":
                raise ToolError(
                    f"The TOSA reference model says {status}: {self._message('no reason given')}. "
                    "For these inputs the program does something TOSA leaves undefined (an "
                    "overflow, an index out of range). Check scales and indices."
                )
            return outputs

    def _ask(self, request: Any) -> tuple[list[Array], str, str]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={
                    **os.environ,
                    "PATH": "",
                },  # on a fatal error the model starts gdb if it finds one
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        pickle.dump(request, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()
        answer: tuple[list[Array], str, str] = pickle.load(self._process.stdout)
        return answer

    def _message(self, default: str) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines()]
        told = [line for line in lines if line and not line.startswith(_NOISE)]
        return (told[0] if told else default).rstrip(".")


@cache
def _worker() -> _Worker:
    return _Worker()
