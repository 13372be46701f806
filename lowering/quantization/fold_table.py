"""Elementwise float islands of one quantised input become a lookup TABLE."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import constant_value, element_of, quant_params, shape_of
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass
from tosaic.lowering.quantization.arithmetic import dequantized_source
from tosaic.lowering.quantization.tables import Lookup
from tosaic.lowering.tosa.evaluate import FLOAT_ELEMENTWISE, evaluate

_MOST_VALUES = 256


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
            if constant.size and not _is_splat(constant):
                return None
            continue
        owner = current.owner
        if isinstance(owner, ir.Block) or owner.name not in FLOAT_ELEMENTWISE:
            return None
        fresh = [v for v in owner.operands if v not in seen]
        seen.update(fresh)
        work.extend(fresh)
    return found


def _is_splat(constant: npt.NDArray[Any]) -> bool:
    """Return whether all elements are the same; NaN is the same as NaN."""
    nan = constant.dtype.kind == "f"
    return np.array_equal(constant, np.full_like(constant, constant.flat[0]), equal_nan=nan)


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


def lookup_of(value: ir.Value) -> Lookup | None:
    """Return x and f where `value` is f(dcast x) elementwise, else None."""
    leaf = _single_input(value)
    source = None if leaf is None else dequantized_source(leaf)
    if leaf is None or source is None or shape_of(leaf) != shape_of(value):
        return None
    return Lookup(*source, lambda inputs: _values(value, leaf, inputs))


def _is_wide_sum(op: Any) -> bool:
    """Return whether `op` adds a constant to int16, which needs no table of 2 KB."""
    if isinstance(op, ir.Block) or op.name not in ("tosa.add", "tosa.sub"):
        return False
    x, y = op.operands
    for value, other in ((x, y), (y, x)):
        source = dequantized_source(value)
        if source is not None and source[1].bits == 16 and constant_value(other) is not None:
            return True
    return False


@pattern("quant.qcast")
def island_to_table(op: Any, b: Builder) -> ir.Value | None:
    """qcast(f(dcast x)) for any elementwise f of one quantised x is looked up."""
    value = op.operands[0]
    out = quant_params(element_of(op.results[0]))
    if dequantized_source(value) is not None or out is None or out.per_axis:
        return None
    if _is_wide_sum(value.owner):
        return None
    table = None if isinstance(value.owner, ir.Block) else lookup_of(value)
    if table is None:
        return None
    return table.quantized(Builder(value.owner.location, b.ip), out)


@register_pass
@dataclasses.dataclass(frozen=True)
class FoldTable(PatternPass):
    """Replace float elementwise ops between one dequantised input and a qcast by a TABLE.

    Any number of ops, constants included, becomes one lookup: sigmoid, gelu, hardswish, x*x, and
    whatever a model composes of such ops. Of int8 inputs the 256 entries are computed in float64
    and rounded once, so the result is the rounded true function. Of int16 inputs TABLE
    interpolates; further tables for parts of the range bring the result to within one step.
    """

    name: ClassVar[str] = "tosaic-fold-table"
    patterns: ClassVar[tuple[Pattern, ...]] = (island_to_table,)
