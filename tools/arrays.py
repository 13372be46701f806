"""Tensors in .npz files: calibration data and inputs, keyed by the model's input names.

An array is one input as it is, or many samples along its leading axis. Without names, arrays go by
order: arr_0, arr_1 and so on, as ``numpy.savez(file, first, second)`` writes them.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.emit.files import read_bytes
from tosaic.errors import InputError

Array = npt.NDArray[Any]
_HOW = "Write it with numpy.savez(file, name=array, …), one array per input."


@dataclass(frozen=True)
class Slot:
    """An input that wants an array: its name, its shape (-1 where any size goes), numpy dtypes.

    An array in one of `dtypes` stays as it is, others are converted to the last of them.
    """

    name: str
    shape: tuple[int, ...]
    dtypes: tuple[str, ...]

    def __str__(self) -> str:
        return f"'{self.name}' ({' or '.join(self.dtypes)} {list(self.shape)})"


def read_arrays(path: str) -> dict[str, Array]:
    """Return the arrays of an .npz file by name, in the file's order.

    Raises:
        InputError: the file cannot be read, is no .npz, or holds Python objects.
    """
    read_bytes(path)  # a missing file is reported in our words, not numpy's
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise InputError(f"'{path}' holds a single array, not an .npz archive. {_HOW}")
        with file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        if "allow_pickle" in str(error) and zipfile.is_zipfile(path):
            reason = "it holds pickled Python objects, which are not loaded: they can run any code"
        else:
            reason = "it is not an .npz archive, or is damaged"
        raise InputError(f"Cannot read '{path}': {reason}. {_HOW}") from error
    bad = next((n for n, a in arrays.items() if not isinstance(a, np.ndarray)), None)
    if bad is not None or not arrays:
        reason = f"its member '{bad}' is no array" if arrays else "there is no array in it"
        raise InputError(f"Cannot use '{path}': {reason}. {_HOW}")
    return arrays


def read_inputs(path: str, slots: Sequence[Slot]) -> list[Array]:
    """Return one array per slot from `path`, by name or by order, in the slots' dtypes.

    Shapes are not looked at; see `samples`.

    Raises:
        InputError: names, count or dtypes do not fit.
    """
    arrays = read_arrays(path)
    by_order = [f"arr_{index}" for index in range(len(slots))]
    names = [slot.name for slot in slots]
    for keys in (names, by_order):
        if sorted(arrays) == sorted(keys):
            return [
                _converted(path, key, arrays[key], slot)
                for key, slot in zip(keys, slots, strict=True)
            ]
    raise InputError(
        f"'{path}' holds {', '.join(arrays)}; the program takes {', '.join(map(str, slots))}. "
        "Name the arrays after the inputs, or save them in order (arr_0, arr_1 and so on)."
    )


def samples(path: str, slots: Sequence[Slot], arrays: Sequence[Array]) -> Iterator[list[Array]]:
    """Split `arrays` along the leading axis into items that have the slots' shapes.

    An array of a slot's own shape is one item. Otherwise its leading axis is cut into pieces of the
    slot's batch size, or, where the array has one axis more, into single inputs.

    Raises:
        InputError: a shape does not fit, or the inputs differ in how many items they have.
    """
    split = [_split(path, slot, array) for slot, array in zip(slots, arrays, strict=True)]
    counts = {slot.name: len(items) for slot, items in zip(slots, split, strict=True)}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} of '{name}'" for name, count in counts.items())
        raise InputError(f"'{path}' holds {told}; every input needs the same number of samples.")
    return ([*item] for item in zip(*split, strict=True))


def _split(path: str, slot: Slot, array: Array) -> Sequence[Array]:
    shape = slot.shape
    if array.ndim == len(shape) + 1 and _fits(array.shape[1:], shape):
        return list(array)
    batch = shape[0] if shape else 0
    if batch < 0 and _fits(array.shape, shape):
        return [array]
    if batch > 0 and array.ndim == len(shape) and _fits(array.shape[1:], shape[1:]):
        count, rest = divmod(array.shape[0], batch)
        if not rest:
            return np.split(array, count) if count else []
        raise InputError(
            f"'{path}' holds {array.shape[0]} samples of {slot}, which its batch size {batch} does "
            "not divide. Leave some out."
        )
    if _fits(array.shape, shape):
        return [array]
    wanted = ["samples", *shape[1:]] if shape else ["samples"]
    raise InputError(
        f"'{path}' has shape {list(array.shape)} for input {slot}. It must be "
        f"[{', '.join(map(str, wanted))}], samples along the leading axis."
    )


def _fits(have: Sequence[int], want: Sequence[int]) -> bool:
    return len(have) == len(want) and all(w in (-1, h) for h, w in zip(have, want, strict=True))


def _converted(path: str, key: str, array: Array, slot: Slot) -> Array:
    if str(array.dtype) in slot.dtypes:
        return array
    try:
        wanted = np.dtype(slot.dtypes[-1])
    except TypeError:
        raise InputError(f"Input {slot} has a dtype that .npz files cannot hold.") from None
    # Real numbers go into float inputs whatever their width; integers only where none is lost.
    allowed = {"f": "fiub", "i": "iub", "u": "ub", "b": "b"}.get(wanted.kind, wanted.kind)
    if array.dtype.kind not in allowed:
        raise InputError(
            f"'{path}' has dtype {array.dtype} in '{key}', input {slot} takes {wanted}. Convert "
            f"it: array.astype('{wanted}')."
        )
    limits = np.iinfo(wanted) if wanted.kind in "iu" and array.size else None
    if limits is not None and (int(array.min()) < limits.min or int(array.max()) > limits.max):
        raise InputError(
            f"'{path}' has values in '{key}' from {array.min()} to {array.max()}; input {slot} "
            f"holds {limits.min} to {limits.max}."
        )
    return array.astype(wanted)
