"""Hardsigmoid and hardswish of 16-bit values, in arithmetic: their bends are too sharp for a TABLE.

An interpolated TABLE needs more of its kind around each bend, and beyond a few a GATHER. Sums,
limits and one product do it to within a step, on every NPU.
"""

from __future__ import annotations

import math

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, i
from tosaic.lowering.quantization.arithmetic import requantized, rescaled

_ONE = 2**15 - 1
_LARGEST = 2**30  # of the 3 in x + 3; where it is more, x is nothing beside it
_FRACTION = 13  # bits below the input's step: 16 bits and these stay below 2**29


def _gate(b: Builder, x: ir.Value, params: QuantParams, one: float) -> ir.Value:
    """Return i16 ``relu6(x + 3) / 6`` in units of 1 / `one`."""
    room = int(math.log2(_LARGEST * params.scale / 3))
    unit = params.scale / 2.0 ** min(max(room, 0), _FRACTION)
    wide = rescaled(b, x, params.scale / unit, i(32))
    three = b.splat(wide, min(round(3 / unit), _LARGEST))
    gate = rescaled(b, b.add(wide, three), unit / 6 * one, i(16))
    return b.clamp(gate, 0, min(round(one), _ONE))


def hardsigmoid(b: Builder, x: ir.Value, params: QuantParams, out: QuantParams) -> ir.Value:
    """Return ``relu6(x + 3) / 6`` of int16 `x` as int16 of parameters `out`."""
    return b.scast(_gate(b, b.storage(x), params, 1 / out.scale), out.type())


def hardswish(b: Builder, x: ir.Value, params: QuantParams, out: QuantParams) -> ir.Value:
    """Return ``x * relu6(x + 3) / 6`` of int16 `x` as int16 of parameters `out`."""
    stored = b.storage(x)
    product = b.mul(stored, _gate(b, stored, params, _ONE), element=i(32))
    return requantized(b, product, params.scale / _ONE, out)
