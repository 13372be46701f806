"""Quant casts that stay become float TOSA, for targets that compute in float and integer."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, element_of, f32, i, quant_params, shape_of
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass


def _along_axis(b: Builder, params: QuantParams, values: tuple[float, ...], rank: int) -> ir.Value:
    shape = [1] * rank
    if params.axis is not None:
        shape[params.axis] = len(values)
    return b.const(np.reshape(values, shape), f32())


@pattern("quant.qcast")
def lower_quantize(op: Any, b: Builder) -> ir.Value | None:
    """clamp(round(x / scale) + zero_point, low, high); TOSA's cast rounds half to even."""
    params = quant_params(element_of(op.results[0]))
    if params is None:
        return None
    x, rank = op.operands[0], len(shape_of(op.operands[0]))
    inverse = _along_axis(b, params, tuple(1.0 / s for s in params.scales), rank)
    zero = _along_axis(b, params, tuple(float(z) for z in params.zero_points), rank)
    # Limited to what int32 holds, so that the cast is defined for every finite input.
    scaled = b.clamp(b.mul(x, inverse), -(2.0**24), 2.0**24)
    rounded = b.cast(b.cast(scaled, i(32)), f32())
    stored = b.clamp(b.add(rounded, zero), params.low, params.high)
    return b.scast(b.cast(stored, i(params.bits)), params.type())


@pattern("quant.dcast")
def lower_dequantize(op: Any, b: Builder) -> ir.Value | None:
    """(x - zero_point) * scale."""
    params = quant_params(element_of(op.operands[0]))
    if params is None:
        return None
    rank = len(shape_of(op.operands[0]))
    stored = b.cast(b.storage(op.operands[0]), f32())
    if any(params.zero_points):
        zeros = tuple(float(z) for z in params.zero_points)
        stored = b.sub(stored, _along_axis(b, params, zeros, rank))
    return b.mul(stored, _along_axis(b, params, params.scales, rank))


@register_pass
@dataclasses.dataclass(frozen=True)
class LowerCasts(PatternPass):
    """Write the quant casts that no island absorbed as float arithmetic.

    For targets that have the float profile beside the integer one: a model with float inputs and
    outputs, or a model that is quantised in part. Integer-only targets refuse instead
    (tosaic-strip-quant-types).
    """

    name: ClassVar[str] = "tosaic-lower-quant-casts"
    patterns: ClassVar[tuple[Pattern, ...]] = (lower_quantize, lower_dequantize)
