"""The I/O manifest: what a caller must know to feed a compiled program and read its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import ml_dtypes  # noqa: F401  (gives numpy bfloat16 and 8-bit floats)
import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import has_no_elements, quant_params
from tosaic.emit.functions import (
    QTYPE,
    RANGE,
    UNSIGNED,
    argument_attributes,
    entry_function,
    result_attributes,
    tensor_names,
)
from tosaic.errors import InputError

_FORMAT = 1
_DTYPES = {
    "i1": "bool",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "bf16": "bfloat16",
    "f8E4M3FN": "float8_e4m3fn",
    "f8E5M2": "float8_e5m2",
}
# TOSA's integers have a sign.
_HELD = {"uint8": "int8"}


@dataclass(frozen=True)
class TensorInfo:
    """One input or output.

    `shape` has -1 for a dynamic dim; `dtype` is numpy's name (``int8``, ``float32``, ``bool``, or
    ``int48`` and ``bfloat16`` which numpy has not). Where `scale` is set the tensor is quantised:
    ``real = scale * (stored - zero_point)``. `range` is within which values of an input the
    program's int32 arithmetic is known not to overflow, where that is not all that its dtype holds.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None
    range: tuple[int, int] | None = None

    @property
    def has_elements(self) -> bool:
        """Whether no dim is 0."""
        return not has_no_elements(self.shape)


@dataclass(frozen=True)
class Manifest:
    """Inputs and outputs of a program, in call order."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    @classmethod
    def from_module(cls, module: ir.Module) -> Manifest:
        """Read the manifest off the one entry of `module`.

        Raises:
            InputError: no entry or several, or an input or output quantised per axis.
        """
        return cls.from_function(entry_function(module))

    @classmethod
    def from_function(cls, function: Any) -> Manifest:
        """Read the manifest off a function's types and attributes.

        Raises:
            InputError: an input or output is quantised per axis.
        """
        types = function.function_type.value
        names = tensor_names(function)
        return cls(
            tuple(map(_tensor_info, names[0], types.inputs, argument_attributes(function))),
            tuple(map(_tensor_info, names[1], types.results, result_attributes(function))),
        )

    @property
    def held(self) -> Manifest:
        """What the flatbuffer holds: tensors with elements, uint8 as int8 of the same bits."""
        return Manifest(
            *(
                tuple(replace(i, dtype=_HELD.get(i.dtype, i.dtype)) for i in side if i.has_elements)
                for side in (self.inputs, self.outputs)
            )
        )

    def to_held(self, arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return inputs as `held` describes them."""
        return [
            array.view(_HELD.get(info.dtype, info.dtype))
            for info, array in zip(self.inputs, arrays, strict=True)
            if info.has_elements
        ]

    def from_held(self, arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return all outputs, given those that `held` describes."""
        given = iter(arrays)
        return [
            next(given).view(array_dtype(info))
            if info.has_elements
            else np.zeros(info.shape, array_dtype(info))
            for info in self.outputs
        ]

    def to_json(self) -> str:
        """Return the manifest as JSON text that `from_json` reads back to an equal value."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Return the manifest in `text`.

        Raises:
            InputError: `text` is not a manifest of this version.
        """
        try:
            data = json.loads(text)
            if data["format"] != _FORMAT:
                raise InputError(
                    f"This manifest has format {data['format']}, this tosaic reads format "
                    f"{_FORMAT}. Compile the program again."
                )
            return cls(
                tuple(_from_dict(d) for d in data["inputs"]),
                tuple(_from_dict(d) for d in data["outputs"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"This is not a tosaic I/O manifest ({error}). Use the .json file written beside "
                "the .tosa file."
            ) from error


def entries_to_json(manifests: Mapping[str, Manifest]) -> str:
    """Return the manifests of several entries as JSON text, for `entries_from_json`."""
    entries = {name: asdict(manifest) for name, manifest in manifests.items()}
    return json.dumps({"format": _FORMAT, "entries": entries}, indent=2) + "\n"


def entries_from_json(text: str) -> dict[str, Manifest]:
    """Return the manifests in `text` by entry; none where it is of a program with one entry.

    Raises:
        InputError: `text` is not a manifest of this version.
    """
    found = {}
    for name in entries_in_json(text):
        entry = json.loads(text)["entries"][name]
        found[name] = Manifest.from_json(json.dumps({"format": _FORMAT, **entry}))
    return found


def entries_in_json(text: str) -> tuple[str, ...]:
    """Return the names of the entries that a manifest has; none where they have no names.

    Raises:
        ValueError: `text` is not JSON.
    """
    data = json.loads(text)
    entries = data.get("entries", ()) if isinstance(data, dict) else ()
    return tuple(entries) if isinstance(entries, dict) else ()


def quantize(info: TensorInfo, real: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return `real` as `info` stores it: scaled, rounded half to even, saturated.

    A tensor that is not quantised is only converted to its dtype.

    Raises:
        InputError: the shape does not fit, or numpy has no such dtype.
    """
    array = np.asarray(real)
    _check_shape(info, array)
    dtype = numpy_dtype_of(info)
    if info.scale is None:
        converted = np.asarray(array, dtype)
        if array.dtype.kind in "iub" and not np.array_equal(converted, array):
            raise InputError(f"Tensor '{info.name}' is {info.dtype}; some values do not fit in it.")
        return converted
    limits = np.iinfo(dtype)
    stored = np.rint(array.astype(np.float64) / info.scale) + (info.zero_point or 0)
    return np.asarray(np.clip(stored, limits.min, limits.max), dtype)


def dequantize(info: TensorInfo, stored: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the float32 values that `stored` means; not quantised: `stored` as it is."""
    array = np.asarray(stored)
    _check_shape(info, array)
    if info.scale is None:
        return array
    real = (array.astype(np.float64) - (info.zero_point or 0)) * info.scale
    return np.asarray(real, np.float32)


def numpy_dtype_of(info: TensorInfo) -> np.dtype[Any]:
    """Return the numpy dtype of `info`.

    Raises:
        InputError: numpy has none.
    """
    try:
        return np.dtype(info.dtype)
    except TypeError:
        raise InputError(
            f"Tensor '{info.name}' is {info.dtype}, which numpy cannot hold. Cast it inside the "
            "program."
        ) from None


def array_dtype(info: TensorInfo) -> np.dtype[Any]:
    """Return the numpy dtype that holds `info` in a call: its own, and int64 for int48.

    Raises:
        InputError: numpy has none.
    """
    return np.dtype(np.int64) if info.dtype == "int48" else numpy_dtype_of(info)


def _check_shape(info: TensorInfo, array: npt.NDArray[Any]) -> None:
    fits = len(info.shape) == array.ndim and all(
        want in (-1, have) for want, have in zip(info.shape, array.shape, strict=True)
    )
    if not fits:
        raise InputError(
            f"Tensor '{info.name}' has shape {list(info.shape)}, got {list(array.shape)}."
        )


def info_of_type(name: str, element: ir.Type, shape: Sequence[int]) -> TensorInfo:
    """Return what a tensor of elements of an MLIR type is for users; -1 is a dynamic dim."""
    text = str(element)
    dtype = _DTYPES.get(text) or text.replace("ui", "uint").replace("i", "int", 1)
    if text.startswith("ui"):
        dtype = text.replace("ui", "uint")
    return TensorInfo(name, tuple(int(d) for d in shape), dtype)


def _tensor_info(name: str, type_: ir.Type, attributes: dict[str, ir.Attribute]) -> TensorInfo:
    ranked = ir.RankedTensorType(type_)
    shape = [-1 if ranked.is_dynamic_dim(k) else d for k, d in enumerate(ranked.shape)]
    info = info_of_type(name, ranked.element_type, shape)
    if info.dtype == "int8" and UNSIGNED in attributes:
        info = replace(info, dtype="uint8")
    params = quant_params(attributes[QTYPE].value) if QTYPE in attributes else None
    if params is None:
        limits = tuple(attributes[RANGE]) if RANGE in attributes else None
        return replace(info, range=limits)
    if params.per_axis:
        raise InputError(
            f"Tensor '{name}' is quantised per axis; inputs and outputs have one scale. Quantise "
            "it per tensor."
        )
    return replace(info, scale=params.scale, zero_point=params.zero_point)


def _from_dict(data: dict[str, Any]) -> TensorInfo:
    limits = data.get("range")
    fixed = {"shape": tuple(data["shape"]), "range": None if limits is None else tuple(limits)}
    return TensorInfo(**{**data, **fixed})
