"""Chains of rescales become one."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import constant_value, element_of
from tosaic.lowering.ops import Refusal
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass
from tosaic.lowering.quantization.arithmetic import rescaled


def _factors(op: Any) -> tuple[list[float], int, int] | None:
    """Return (factor per channel, input zero point, output zero point) of a RESCALE."""
    if isinstance(op, ir.Block) or op.name != "tosa.rescale":
        return None
    if op.attributes["input_unsigned"].value or op.attributes["output_unsigned"].value:
        return None
    values = [constant_value(v) for v in list(op.operands)[1:]]
    if any(v is None for v in values) or not op.attributes["scale32"].value:
        return None
    multipliers, shifts, input_zp, output_zp = (v for v in values if v is not None)
    factors = [int(m) * 2.0 ** -int(s) for m, s in zip(multipliers, shifts, strict=True)]
    return factors, int(input_zp[0]), int(output_zp[0])


@pattern("tosa.rescale")
def compose(op: Any, b: Builder) -> ir.Value | None:
    """rescale(rescale(x)) becomes one rescale where the value in between cannot be cut off.

    That is so for an i32 in between that holds an i8 or i16 (scaled by at most 2**15): rounding
    once instead of twice is at least as exact.
    """
    inner = op.operands[0].owner
    outer_factors, inner_factors = _factors(op), _factors(inner)
    if outer_factors is None or inner_factors is None:
        return None
    if len(outer_factors[0]) > 1 or len(inner_factors[0]) > 1:
        return None
    source, between = element_of(inner.operands[0]), element_of(op.operands[0])
    if str(between) != "i32" or str(source) not in ("i8", "i16"):
        return None
    if inner_factors[0][0] > 2**15 or inner_factors[2] != outer_factors[1]:
        return None
    ratio = inner_factors[0][0] * outer_factors[0][0]
    zero_points = (inner_factors[1], outer_factors[2])
    element = element_of(op.results[0])
    if ratio == 1 and source == element and zero_points[0] == zero_points[1]:
        return inner.operands[0]
    try:
        return rescaled(b, inner.operands[0], ratio, element, zero_points=zero_points)
    except Refusal:
        return None


@pattern("tosa.rescale")
def drop_unit(op: Any, b: Builder) -> ir.Value | None:
    """A rescale by 1 between equal types and zero points is its operand."""
    factors = _factors(op)
    if factors is None or op.operands[0].type != op.results[0].type:
        return None
    if factors[1] != factors[2] or any(f != 1 for f in factors[0]):
        return None
    return op.operands[0]


@register_pass
@dataclasses.dataclass(frozen=True)
class FuseRescale(PatternPass):
    """Compose a RESCALE with the RESCALE before it, and drop rescales that change nothing.

    Only values that pass through int32 unharmed are composed, so the result is the same or rounded
    once less; a rescale whose intermediate saturates at 8 bits is left alone, because saturation is
    what a fused activation means.
    """

    name: ClassVar[str] = "tosaic-fuse-rescale"
    patterns: ClassVar[tuple[Pattern, ...]] = (compose, drop_unit)
