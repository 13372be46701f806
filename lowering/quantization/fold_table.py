"""Elementwise float islands of one quantised input become a lookup TABLE."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import (
    QuantParams,
    constant_value,
    element_of,
    i,
    quant_params,
    shape_of,
)
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass
from tosaic.lowering.quantization.arithmetic import dequantized_source
from tosaic.lowering.tosa.evaluate import FLOAT_ELEMENTWISE, evaluate

_MOST_VALUES = 256
_LARGE = float(np.finfo(np.float32).max)


def _single_input(value: ir.Value) -> ir.Value | None:
    """Return the one dequantised tensor that the elementwise ops above `value` read, else None."""
    found: ir.Value | None = None
    work, seen = [value], {value}
    while work:
        current = work.pop()
        if len(seen) > _MOST_VALUES:
            return None
        if dequantized_source(current) is not None:
            if found is not None and found != current:
                return None
            found = current
            continue
        constant = constant_value(current)
        if constant is not None:
            if constant.size and (constant != constant.flat[0]).any():
                return None
            continue
        owner = current.owner
        if isinstance(owner, ir.Block) or owner.name not in FLOAT_ELEMENTWISE:
            return None
        fresh = [v for v in owner.operands if v not in seen]
        seen.update(fresh)
        work.extend(fresh)
    return found


def _values(value: ir.Value, leaf: ir.Value, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what `value` is where `leaf` is `inputs`; each op is evaluated once."""
    known: dict[ir.Value, npt.NDArray[Any]] = {leaf: inputs}

    def evaluated(current: ir.Value) -> npt.NDArray[Any]:
        if current not in known:
            constant = constant_value(current)
            if constant is None:
                owner = current.owner
                constant = evaluate(owner, [evaluated(v) for v in owner.operands])
                assert constant is not None
            else:
                constant = constant.reshape(-1)[:1]
            known[current] = constant
        return known[current]

    return evaluated(value)


def wide_table_of(value: ir.Value) -> tuple[ir.Value, npt.NDArray[np.float64]] | None:
    """Return (quantised int8 x, f of its 256 values) where `value` is f(dcast x) elementwise."""
    leaf = _single_input(value)
    source = None if leaf is None else dequantized_source(leaf)
    if leaf is None or source is None or source[1].bits != 8 or shape_of(leaf) != shape_of(value):
        return None
    stored = np.clip(np.arange(-128, 128), source[1].low, source[1].high)
    real = np.asarray(_values(value, leaf, source[1].dequantize(stored)), np.float64)
    return source[0], np.broadcast_to(np.nan_to_num(real, posinf=0, neginf=0), stored.shape)


def _entries(value: ir.Value, leaf: ir.Value, params: QuantParams, out: QuantParams) -> Any:
    stored = np.clip(np.arange(-128, 128), params.low, params.high)
    real = np.asarray(_values(value, leaf, params.dequantize(stored)))
    real = np.nan_to_num(real, posinf=_LARGE, neginf=-_LARGE)
    return np.broadcast_to(out.quantize(real), stored.shape)


@pattern("quant.qcast")
def island_to_table(op: Any, b: Builder) -> ir.Value | None:
    """qcast(f(dcast x)) for any elementwise f of one int8 x is 256 precomputed integers."""
    value = op.operands[0]
    out = quant_params(element_of(op.results[0]))
    if dequantized_source(value) is not None or out is None or out.per_axis or out.bits != 8:
        return None
    leaf = _single_input(value)
    if leaf is None or shape_of(leaf) != shape_of(value):
        return None
    source = dequantized_source(leaf)
    if source is None or source[1].bits != 8 or isinstance(value.owner, ir.Block):
        return None
    here = Builder(value.owner.location, b.ip)
    table = here.table(here.storage(source[0]), _entries(value, leaf, source[1], out), i(8))
    return here.scast(table, out.type())


@register_pass
@dataclasses.dataclass(frozen=True)
class FoldTable(PatternPass):
    """Replace float elementwise ops between one dequantised int8 input and a qcast by a TABLE.

    Any number of ops, constants included, becomes one lookup: sigmoid, gelu, hardswish, x*x, and
    whatever a model composes of such ops. The 256 entries are computed in float64 and rounded
    once, so the result is the rounded true function.
    """

    name: ClassVar[str] = "tosaic-fold-table"
    patterns: ClassVar[tuple[Pattern, ...]] = (island_to_table,)
