"""Weights and biases of an island: the integers, and what one unit is worth, per output channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import constant_value, element_of, quant_params
from tosaic.lowering.ops import Refusal
from tosaic.lowering.tosa.evaluate import MOVEMENT

WEIGHT_LIMIT = 127


@dataclass(frozen=True)
class QuantizedConstant:
    """Integers `stored` with, element by element, their `scale` and `zero_point` (same shape)."""

    stored: npt.NDArray[np.int64]
    scale: npt.NDArray[np.float64]
    zero_point: npt.NDArray[np.int64]


def quantized_constant(value: ir.Value) -> QuantizedConstant | None:
    """Return the constant that `value` dequantises, looking through data movement."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return None
    if owner.name == "quant.dcast":
        stored = _stored(owner.operands[0])
        params = quant_params(element_of(owner.operands[0]))
        if stored is None or params is None:
            return None
        shape = [1] * stored.ndim
        if params.axis is not None:
            shape[params.axis] = len(params.scales)
        scale = np.broadcast_to(np.array(params.scales).reshape(shape), stored.shape)
        zero = np.broadcast_to(np.array(params.zero_points).reshape(shape), stored.shape)
        return QuantizedConstant(stored.astype(np.int64), scale, zero)
    moved = _movement(owner)
    source = None if moved is None else quantized_constant(owner.operands[0])
    if source is None or moved is None:
        return None
    return QuantizedConstant(*map(moved, (source.stored, source.scale, source.zero_point)))


def _movement(op: Any) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None:
    """Return what `op` does to its first operand, where it moves data and the others are known."""
    move = MOVEMENT.get(op.name)
    if move is None or op.name in ("tosa.concat", "tosa.pad"):
        return None
    rest = [constant_value(v) for v in list(op.operands)[1:]]
    return None if any(r is None for r in rest) else lambda x: move(op, x, *rest)


def _stored(value: ir.Value) -> npt.NDArray[Any] | None:
    owner = value.owner
    if isinstance(owner, ir.Block):
        return None
    if owner.name == "quant.scast":
        return _stored(owner.operands[0])
    moved = _movement(owner)
    source = None if moved is None else _stored(owner.operands[0])
    return constant_value(value) if source is None or moved is None else moved(source)


@dataclass(frozen=True)
class Weights:
    """Integer weights, one scale per output channel, one zero point."""

    stored: npt.NDArray[np.int64]
    scales: npt.NDArray[np.float64]
    zero_point: int


def weights_of(value: ir.Value, channel_axes: tuple[int, ...]) -> Weights | None:
    """Return the quantised weights behind `value`; float constants are quantised here.

    `channel_axes` are the axes whose product is the output channel. Float constants become int8,
    symmetric, per channel.

    Raises:
        Refusal: scales or zero points vary inside a channel.
    """
    known = quantized_constant(value)
    if known is None:
        real = constant_value(value)
        if real is None or real.dtype.kind != "f":
            return None
        return _quantized_weights(real.astype(np.float64), channel_axes)
    other = tuple(a for a in range(known.stored.ndim) if a not in channel_axes)
    low, high = known.scale.min(axis=other), known.scale.max(axis=other)
    if (low != high).any() or (known.zero_point != known.zero_point.flat[0]).any():
        raise Refusal("weight scales vary inside an output channel, or zero points differ")
    return Weights(known.stored, low.reshape(-1), int(known.zero_point.flat[0]))


def _quantized_weights(real: npt.NDArray[np.float64], channel_axes: tuple[int, ...]) -> Weights:
    other = tuple(a for a in range(real.ndim) if a not in channel_axes)
    largest = np.abs(real).max(axis=other, keepdims=True)
    scale = np.where(largest > 0, largest, 1.0) / WEIGHT_LIMIT
    stored = np.rint(real / scale).astype(np.int64)
    return Weights(stored, scale.reshape(-1), 0)


def bias_of(value: ir.Value) -> npt.NDArray[np.float64] | None:
    """Return the real bias behind `value`: a float constant, or a dequantised one."""
    known = quantized_constant(value)
    if known is not None:
        return (known.stored - known.zero_point) * known.scale
    real = constant_value(value)
    return None if real is None or real.dtype.kind != "f" else real.astype(np.float64)
