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


def _gate(
    b: Builder, x: ir.Value, params: QuantParams, one: float, element: ir.IntegerType
) -> ir.Value:
    """Return ``relu6(x + 3) / 6`` in units of 1 / `one`, as `element`."""
    room = int(math.log2(_LARGEST * params.scale / 3))
    unit = params.scale / 2.0 ** min(max(room, 0), _FRACTION)
    wide = rescaled(b, x, params.scale / unit, i(32))
    three = b.splat(wide, min(round(3 / unit), _LARGEST))
    gate = rescaled(b, b.add(wide, three), unit / 6 * one, element)
    return b.clamp(gate, 0, min(round(one), 2 ** (element.width - 1) - 1))


def hardsigmoid(b: Builder, x: ir.Value, params: QuantParams, out: QuantParams) -> ir.Value:
    """Return ``relu6(x + 3) / 6`` of int16 `x` as int16 of parameters `out`."""
    return b.scast(_gate(b, b.storage(x), params, 1 / out.scale, i(16)), out.type())


def hardswish(b: Builder, x: ir.Value, params: QuantParams, out: QuantParams) -> ir.Value:
    """Return ``x * relu6(x + 3) / 6`` of int16 `x` as int16 of parameters `out`.

    The gate has 16 bits, unless its rounding times `x` would be more than a step of `out`, whose
    range is then narrower than what there is to hold. With the bits that the product leaves free it
    is a step at a quarter of the range; on an NPU that costs up to twice the cycles.
    """
    stored, element, one = b.storage(x), i(16), float(_ONE)
    limit = 2**15 * params.scale
    if min(limit, 3) * 0.5 / one > out.scale:
        highest = min(limit + 3, 6) / 6
        element, one = i(32), (2**31 - 1) / (2**15 * highest)
        stored = b.cast(stored, element)
    product = b.mul(stored, _gate(b, b.storage(x), params, one, element), element=i(32))
    return requantized(b, product, params.scale / one, out)
