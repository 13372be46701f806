"""Tensor types, `!quant` types and constants as plain Python values.

Quantisation parameters live in the type and nowhere else; `QuantParams` is the frozen Python view
of one `!quant.uniform` element type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir, quant

DYNAMIC: int = ir.ShapedType.get_dynamic_size()

_NUMPY_OF = {
    "i1": np.bool_,
    "i8": np.int8,
    "ui8": np.uint8,
    "si8": np.int8,
    "i16": np.int16,
    "si16": np.int16,
    "i32": np.int32,
    "si32": np.int32,
    "i64": np.int64,
    "si64": np.int64,
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
}


# Integers that numpy has no dtype for: bytes per element in a `DenseElementsAttr`.
_BYTES_OF = {"i4": 1, "i48": 6}
_INTEGER = re.compile(r"-?\d+")


def shape_of(value: ir.Value) -> list[int]:
    """Return the shape of a ranked tensor value; dynamic dimensions are `DYNAMIC`."""
    return list(ir.RankedTensorType(value.type).shape)


def element_of(value: ir.Value) -> ir.Type:
    """Return the element type of a ranked tensor value."""
    return ir.RankedTensorType(value.type).element_type


def tensor(shape: Sequence[int], element: ir.Type) -> ir.Type:
    """Return ``tensor<shape x element>``."""
    return ir.RankedTensorType.get(list(shape), element)


def is_static(shape: Sequence[int]) -> bool:
    """Return whether no dimension is dynamic."""
    return DYNAMIC not in shape


def has_no_elements(shape: Sequence[int]) -> bool:
    """Return whether a dimension is 0."""
    return 0 in shape


def is_float(element: ir.Type) -> bool:
    """Return whether `element` is a floating-point type."""
    return isinstance(element, ir.FloatType)


def is_signless_integer(element: ir.Type, *widths: int) -> bool:
    """Return whether `element` is an integer type, of one of `widths` where any are given."""
    return isinstance(element, ir.IntegerType) and (not widths or element.width in widths)


def i(width: int) -> ir.Type:
    """Return the signless integer type of `width` bits."""
    return ir.IntegerType.get_signless(width)


def f32() -> ir.Type:
    """Return ``f32``."""
    return ir.F32Type.get()


def numpy_dtype(element: ir.Type) -> Any:
    """Return the numpy dtype that stores `element`.

    Raises:
        KeyError: for element types numpy cannot store (bf16, i48, fp8).
    """
    return _NUMPY_OF[str(element)]


def constant_value(value: ir.Value) -> npt.NDArray[Any] | None:
    """Return the elements of a `tosa.const` (or `torch.vtensor.literal`) value, else None.

    Read without a copy where numpy can; splats come back broadcast (stride 0).
    """
    owner = value.owner
    if isinstance(owner, ir.Block):
        return None
    name = owner.name
    if name in {"tosa.const", "tosa.const_shape"}:
        attr = owner.attributes["values"]
    elif name == "torch.vtensor.literal":
        attr = owner.attributes["value"]
    else:
        return None
    return elements(attr)


def elements(attr: ir.Attribute) -> npt.NDArray[Any] | None:
    """Return a `DenseElementsAttr` as a numpy array, or None where numpy cannot read it."""
    if not isinstance(attr, ir.DenseElementsAttr):
        return None
    element = ir.ShapedType(attr.type).element_type
    name = str(element)
    if name == "index":
        # The bindings read an index unsigned; a -1 in a shape is meant signed.
        unsigned = np.array([int(x) for x in attr], dtype=np.uint64)
        return unsigned.astype(np.int64).reshape(ir.ShapedType(attr.type).shape)
    shape = ir.ShapedType(attr.type).shape
    if name in _BYTES_OF:
        return _odd_elements(attr, _BYTES_OF[name]).reshape(shape)
    if name not in _NUMPY_OF:
        return None
    if attr.is_splat:
        splat = np.array(attr.get_splat_value().value, dtype=_NUMPY_OF[name])
        return np.broadcast_to(splat, shape)
    return np.asarray(attr).reshape(shape)


def _odd_elements(attr: ir.DenseElementsAttr, width: int) -> npt.NDArray[np.int64]:
    """Return integers of `width` bytes, by way of the text: the bindings do not give the bytes."""
    if attr.is_splat:
        return np.full(ir.ShapedType(attr.type).shape, attr.get_splat_value().value, np.int64)
    text = str(attr).partition("<")[2].rpartition(" : ")[0]
    if not text.startswith('"0x'):
        return np.array(_INTEGER.findall(text), np.int64)
    raw = np.frombuffer(bytes.fromhex(text[3 : text.rindex('"')]), np.uint8).reshape(-1, width)
    wide = np.zeros((len(raw), 8), np.uint8)
    wide[:, 8 - width :] = raw  # at the top, to be shifted down with its sign
    return wide.reshape(-1).view("<i8") >> (64 - 8 * width)


def _odd_bytes(array: npt.NDArray[Any], width: int) -> npt.NDArray[np.uint8]:
    raw = np.ascontiguousarray(array, "<i8").reshape(-1, 1).view(np.uint8)
    return np.ascontiguousarray(raw[:, :width]).reshape(-1)


def dense(array: npt.NDArray[Any], element: ir.Type) -> ir.Attribute:
    """Return `array` as a `DenseElementsAttr` of `element` (signless; splats stored once)."""
    array = np.ascontiguousarray(array).reshape(np.shape(array))  # numpy makes rank 0 rank 1
    shape = list(array.shape)
    if array.size and (array == array.flat[0]).all() and not _is_negative_zero_mix(array):
        return ir.DenseElementsAttr.get_splat(
            ir.RankedTensorType.get(shape, element), _scalar_attr(array.flat[0], element)
        )
    if str(element) in _BYTES_OF:
        array = _odd_bytes(array, _BYTES_OF[str(element)])
    if str(element) == "bf16":
        array = _bf16_bits(array)
    return ir.DenseElementsAttr.get(array, type=element, shape=shape)


def _bf16_bits(array: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """Return f32 numbers as bf16, which numpy lacks: rounded half to even."""
    bits = np.asarray(array, np.float32).view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    return (np.where(np.isnan(array), bits, rounded) >> 16).astype(np.uint16).view(np.int16)


def _is_negative_zero_mix(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind == "f" and not array.flat[0] and bool(np.signbit(array).any())


def _scalar_attr(value: Any, element: ir.Type) -> ir.Attribute:
    if isinstance(element, ir.FloatType):
        return ir.FloatAttr.get(element, float(value))
    return ir.IntegerAttr.get(element, int(value))


@dataclass(frozen=True)
class QuantParams:
    """Affine quantisation: ``real = scale * (stored - zero_point)``.

    `scales` and `zero_points` have one entry (per tensor), or one per index of dimension `axis`.
    `low`/`high` bound the stored integers; `bits`/`signed` are the storage type.
    """

    bits: int
    signed: bool
    low: int
    high: int
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None

    @property
    def scale(self) -> float:
        """The per-tensor scale."""
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point."""
        return self.zero_points[0]

    @property
    def per_axis(self) -> bool:
        """Whether parameters vary along `axis`."""
        return self.axis is not None

    def type(self) -> ir.Type:
        """Return the `!quant.uniform` element type (signless storage, expressed as f32)."""
        flags = 1 if self.signed else 0
        if self.axis is None:
            return quant.UniformQuantizedType.get(
                flags, i(self.bits), f32(), self.scale, self.zero_point, self.low, self.high
            )
        return quant.UniformQuantizedPerAxisType.get(
            flags,
            i(self.bits),
            f32(),
            list(self.scales),
            list(self.zero_points),
            self.axis,
            self.low,
            self.high,
        )

    def moved(self, axis: int | None) -> QuantParams:
        """Return the same parameters along another axis."""
        return QuantParams(
            self.bits, self.signed, self.low, self.high, self.scales, self.zero_points, axis
        )

    def quantize(self, real: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return `real` quantised (round half to even, saturating)."""
        scales, zeros = self._broadcast(real.ndim)
        stored = np.rint(np.asarray(real, np.float64) / scales) + zeros
        return np.asarray(np.clip(stored, self.low, self.high), np.int64)

    def dequantize(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the real values of `stored`."""
        scales, zeros = self._broadcast(stored.ndim)
        return np.asarray((stored.astype(np.float64) - zeros) * scales, np.float64)

    def _broadcast(self, rank: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        shape = [1] * rank
        if self.axis is not None:
            shape[self.axis] = len(self.scales)
        elif rank == 0:
            shape = []
        return (
            np.array(self.scales, np.float64).reshape(shape),
            np.array(self.zero_points, np.float64).reshape(shape),
        )


def quant_params(element: ir.Type) -> QuantParams | None:
    """Return the parameters held by a `!quant.uniform` element type, else None."""
    if isinstance(element, quant.UniformQuantizedType):
        return QuantParams(
            element.storage_type_integral_width,
            element.is_signed,
            element.storage_type_min,
            element.storage_type_max,
            (float(element.scale),),
            (int(element.zero_point),),
        )
    if isinstance(element, quant.UniformQuantizedPerAxisType):
        return QuantParams(
            element.storage_type_integral_width,
            element.is_signed,
            element.storage_type_min,
            element.storage_type_max,
            tuple(float(s) for s in element.scales),
            tuple(int(z) for z in element.zero_points),
            int(element.quantized_dimension),
        )
    return None


def storage_of(element: ir.Type) -> ir.Type:
    """Return the storage type of a `!quant.uniform` type; any other type is returned as it is."""
    params = quant_params(element)
    return element if params is None else i(params.bits)
