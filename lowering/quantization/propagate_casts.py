"""Quant casts move past what commutes with them, so that islands hold computing ops only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import (
    QuantParams,
    constant_value,
    element_of,
    is_float,
    quant_params,
    shape_of,
    tensor,
)
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass
from tosaic.lowering.quantization.arithmetic import dequantized_source, with_params
from tosaic.lowering.tosa.movement import SELECTING

MOVES = ("tosa.concat", "tosa.pad", *SELECTING)
_COMPUTING = ("tosa.concat", "tosa.max_pool2d", "tosa.reduce_max", "tosa.reduce_min")


def move_with(b: Builder, op: Any, values: list[ir.Value], params: QuantParams) -> ir.Value:
    """Rebuild movement op `op` on quantised `values` that all have parameters `params`."""
    element = params.type()
    operands = list(values)
    if op.name == "tosa.pad":
        fill = constant_value(op.operands[2])
        assert fill is not None
        operands += [op.operands[1], b.const(params.quantize(np.reshape(fill, [1])), element)]
    elif op.name != "tosa.concat":
        operands += list(op.operands)[1:]
    attributes = {name: op.attributes[name] for name in op.attributes}
    return b.value(op.name, operands, tensor(shape_of(op.results[0]), element), **attributes)


def _movable(op: Any) -> bool:
    if isinstance(op, ir.Block) or op.name not in MOVES or not is_float(element_of(op.results[0])):
        return False
    return op.name != "tosa.pad" or constant_value(op.operands[2]) is not None


def _read_alike(cast: Any) -> bool:
    """Return whether all readers of `cast`'s operand are casts to the same type."""
    readers = [use.owner for use in cast.operands[0].uses]
    return all(r.name == cast.name and r.results[0].type == cast.results[0].type for r in readers)


def sink_dequantize(op: Any, b: Builder) -> ir.Value | None:
    """move(dcast(x)) becomes dcast(move(x)) where every moved operand has the same parameters."""
    if not _movable(op):
        return None
    values = list(op.operands) if op.name == "tosa.concat" else [op.operands[0]]
    sources = [dequantized_source(v) for v in values]
    if any(s is None for s in sources):
        return None
    params = {s[1] for s in sources if s is not None}
    if len(params) != 1:
        return None
    return b.dcast(move_with(b, op, [s[0] for s in sources if s is not None], params.pop()))


@pattern("quant.qcast")
def hoist_quantize(op: Any, b: Builder) -> ir.Value | None:
    """qcast(move(y)) becomes move(qcast(y))."""
    mover = op.operands[0].owner
    params = quant_params(element_of(op.results[0]))
    if not _movable(mover) or params is None or params.per_axis:
        return None
    if mover.name in _COMPUTING and not _read_alike(op):
        return None  # it would be computed once more for each reader
    values = list(mover.operands) if mover.name == "tosa.concat" else [mover.operands[0]]
    there = Builder(mover.location, b.ip)
    return move_with(there, mover, [b.qcast(v, params.type()) for v in values], params)


@pattern("quant.qcast")
def hoist_quantize_over_clamp(op: Any, b: Builder) -> ir.Value | None:
    """qcast(clamp(y)) becomes clamp(qcast(y)); exact, because quantising is monotone.

    Bounds that the quantised range implies anyway (ReLU with the zero point at the bottom) cost
    nothing: the clamp is dropped.
    """
    clamp = op.operands[0].owner
    params = quant_params(element_of(op.results[0]))
    if isinstance(clamp, ir.Block) or clamp.name != "tosa.clamp" or params is None:
        return None
    if params.per_axis:
        return None
    low, high = (
        int(params.quantize(np.array(clamp.attributes[name].value)))
        for name in ("min_val", "max_val")
    )
    quantized = b.qcast(clamp.operands[0], params.type())
    if low == params.low and high == params.high:
        return quantized
    return Builder(clamp.location, b.ip).clamp(quantized, low, high)


@pattern("quant.qcast")
def cancel(op: Any, b: Builder) -> ir.Value | None:
    """qcast(dcast(x)) is x, or one rescale where the parameters differ."""
    source = dequantized_source(op.operands[0])
    params = quant_params(element_of(op.results[0]))
    if source is None or params is None or params.per_axis:
        return None
    return with_params(b, *source, params)


def _scalar(value: ir.Value) -> float | None:
    array = constant_value(value)
    if array is None or array.dtype.kind != "f" or array.size == 0:
        return None
    first = float(array.flat[0])
    return first if (array == array.flat[0]).all() else None


def _scaled_by(op: Any) -> tuple[ir.Value, float] | None:
    """Return (x, c) where `op` is ``mul x, splat c`` with c > 0 and x not broadcast."""
    if isinstance(op, ir.Block) or op.name != "tosa.mul" or not is_float(element_of(op.results[0])):
        return None
    for x, c in ((0, 1), (1, 0)):
        factor = _scalar(op.operands[c])
        if factor is not None and factor > 0 and op.operands[x].type == op.results[0].type:
            return op.operands[x], factor
    return None


def _rescaled_params(params: QuantParams, factor: float) -> QuantParams:
    return dataclasses.replace(params, scales=tuple(s * factor for s in params.scales))


@pattern("quant.qcast")
def absorb_scalar_before_quantize(op: Any, b: Builder) -> ir.Value | None:
    """qcast(y * c) with scale s holds the integers of qcast(y) with scale s / c."""
    scaled = _scaled_by(op.operands[0].owner)
    params = quant_params(element_of(op.results[0]))
    if scaled is None or params is None or params.per_axis:
        return None
    if dequantized_source(scaled[0]) is not None:
        return None  # absorbed on the other side
    inner = b.qcast(scaled[0], _rescaled_params(params, 1.0 / scaled[1]).type())
    return b.scast(b.storage(inner), params.type())


@pattern("tosa.mul")
def absorb_scalar_after_dequantize(op: Any, b: Builder) -> ir.Value | None:
    """dcast(x) * c with scale s is dcast of the same integers with scale s * c."""
    scaled = _scaled_by(op)
    source = dequantized_source(scaled[0]) if scaled is not None else None
    if scaled is None or source is None:
        return None
    x, params = source
    if len(list(scaled[0].uses)) != 1:
        return None  # x * gate(x): one lookup table of x is better
    return b.dcast(b.scast(b.storage(x), _rescaled_params(params, scaled[1]).type()))


@pattern("tosa.argmax")
def argmax_of_stored(op: Any, b: Builder) -> ir.Value | None:
    """argmax(dcast(x)) is the argmax of the stored integers: quantising keeps the order."""
    source = dequantized_source(op.operands[0])
    if source is None:
        return None
    attributes = {name: op.attributes[name] for name in op.attributes}
    return b.value("tosa.argmax", [b.storage(source[0])], op.results[0].type, **attributes)


def _sinks() -> tuple[Pattern, ...]:
    fn: Callable[[Any, Builder], Any] = sink_dequantize
    return tuple(Pattern(name, fn) for name in MOVES)


@register_pass
@dataclasses.dataclass(frozen=True)
class PropagateCasts(PatternPass):
    """Move `quant.dcast` below and `quant.qcast` above ops that only move or limit elements.

    Transposes, reshapes, slices, concats, pads and max pools of equal parameters then work on
    quantised tensors, a clamp becomes integer bounds (and vanishes where the output range implies
    it), a scale by a constant disappears into the parameters, and qcast(dcast(x)) becomes x or one
    `tosa.rescale`. What stays between the casts are the islands that tosaic-fold-qdq folds.
    """

    name: ClassVar[str] = "tosaic-propagate-casts"
    patterns: ClassVar[tuple[Pattern, ...]] = (
        *_sinks(),
        hoist_quantize,
        hoist_quantize_over_clamp,
        cancel,
        absorb_scalar_before_quantize,
        absorb_scalar_after_dequantize,
        argmax_of_stored,
    )
