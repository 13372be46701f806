"""Clamps merge with clamps and with the range of the op that feeds them."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import element_of, is_float, storage_of
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass
from tosaic.lowering.tosa.movement import SELECTING

_UNIT_RANGE = {"tosa.sigmoid": (0.0, 1.0), "tosa.tanh": (-1.0, 1.0)}


def _bounds(op: Any) -> tuple[float, float]:
    return op.attributes["min_val"].value, op.attributes["max_val"].value


def _range(value: ir.Value) -> tuple[float, float] | None:
    """Return bounds that `value` is known to keep, else None."""
    owner = value.owner
    while not isinstance(owner, ir.Block) and owner.name in SELECTING:
        owner = owner.operands[0].owner
    if isinstance(owner, ir.Block):
        return None
    if owner.name == "tosa.clamp":
        return _bounds(owner)
    return _UNIT_RANGE.get(owner.name)


@pattern("tosa.clamp")
def merge(op: Any, b: Builder) -> ir.Value | None:
    """clamp(clamp(x)) becomes one clamp, where the ranges overlap."""
    inner = op.operands[0].owner
    if isinstance(inner, ir.Block) or inner.name != "tosa.clamp":
        return None
    (low, high), (inner_low, inner_high) = _bounds(op), _bounds(inner)
    low, high = max(low, inner_low), min(high, inner_high)
    return None if low > high else b.clamp(inner.operands[0], low, high)


@pattern("tosa.clamp")
def drop_implied(op: Any, b: Builder) -> ir.Value | None:
    """A clamp to bounds that its operand keeps anyway, or that its type implies, is its operand."""
    low, high = _bounds(op)
    element = storage_of(element_of(op.results[0]))
    known = _range(op.operands[0])
    if not is_float(element):
        full = 2 ** (element.width - 1)
        known = known or (-full, full - 1)
    if known is None or known[0] < low or known[1] > high:
        return None
    return op.operands[0]


@register_pass
@dataclasses.dataclass(frozen=True)
class FuseClamp(PatternPass):
    """Merge consecutive clamps and drop those that the producer's range implies.

    ReLU after ReLU6, a clamp after a max pool of clamped values, a clamp to the full range of its
    integer type: one clamp or none remains, which the target fuses into the op before it.
    """

    name: ClassVar[str] = "tosaic-fuse-clamp"
    patterns: ClassVar[tuple[Pattern, ...]] = (merge, drop_implied)
