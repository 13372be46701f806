"""The one interface of all executors, and the table that names them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.emit.manifest import Manifest, TensorInfo, array_dtype
from tosaic.errors import InputError

Array = npt.NDArray[Any]


class Executor(Protocol):
    """A program made ready once and run many times."""

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Return main's results for `inputs`, given in the dtypes and shapes of main's arguments.

        Raises:
            InputError: count, shape or dtype of the inputs does not fit.
            ToolError: the program fails while running.
        """
        ...


# (module, its flatbuffer where there is one already) -> the executor
MakeExecutor = Callable[[ir.Module, "bytes | None"], Executor]
_EXECUTORS: dict[str, MakeExecutor] = {}


def register_executor(name: str, make: MakeExecutor) -> None:
    """Make `make` known as executor `name`."""
    _EXECUTORS[name] = make


def all_executors() -> list[str]:
    """Return the names of all executors."""
    return sorted(_EXECUTORS)


def make_executor(name: str, module: ir.Module, flatbuffer: bytes | None = None) -> Executor:
    """Return executor `name` for `module`, which must be static TOSA and is not changed.

    Executors that read flatbuffers take `flatbuffer`, and serialise `module` where it is not given.

    Raises:
        InputError: there is no such executor, or the module has no main function.
        ToolError: the executor cannot take the program.
    """
    if name not in _EXECUTORS:
        near = difflib.get_close_matches(name, _EXECUTORS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InputError(
            f"There is no executor named '{name}'.{hint} There are: {', '.join(all_executors())}."
        )
    return _EXECUTORS[name](module, flatbuffer)


def checked_inputs(manifest: Manifest, inputs: Sequence[Array]) -> list[Array]:
    """Return `inputs` as contiguous arrays, after comparing them with the manifest.

    Raises:
        InputError: count, shape or dtype does not fit.
    """
    if len(inputs) != len(manifest.inputs):
        raise InputError(
            f"The program takes {len(manifest.inputs)} inputs "
            f"({', '.join(info.name for info in manifest.inputs)}), got {len(inputs)}."
        )
    return [_checked(info, np.asarray(x)) for info, x in zip(manifest.inputs, inputs, strict=True)]


def _checked(info: TensorInfo, array: Array) -> Array:
    dtype = array_dtype(info)
    if array.dtype != dtype or array.shape != info.shape:
        raise InputError(
            f"Input '{info.name}' must be {dtype} {list(info.shape)}, got {array.dtype} "
            f"{list(array.shape)}."
        )
    if info.range is not None and array.size:
        low, high = info.range
        if array.min() < low or array.max() > high:
            raise InputError(
                f"Input '{info.name}' holds values from {array.min()} to {array.max()}; the "
                f"program was compiled for {low} to {high}, beyond which its int32 arithmetic "
                "could overflow. Limit it with torch.clamp, or let the model compute in float."
            )
    return np.ascontiguousarray(array).reshape(info.shape)  # ascontiguousarray makes rank 0 rank 1
