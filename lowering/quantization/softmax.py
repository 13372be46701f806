"""Softmax and log-softmax of int8 tensors as one unit, in int32 fixed point.

The exponentials are looked up with 14 bits, their sum is exact, the division is a reciprocal good
to about 14 bits: the result is the rounded softmax of the dequantised input but for about half a
step. Source of the fixed-point plan: tosaic.lowering.quantization.fixed_point.
"""

from __future__ import annotations

import math

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, i
from tosaic.lowering.quantization.arithmetic import requantized, rescaled
from tosaic.lowering.quantization.fixed_point import (
    Normalized,
    logarithm,
    lookup,
    normalize,
    reciprocal,
    shifted_right,
)

_EXP_BITS = 14


def softmax(
    b: Builder, x: ir.Value, params: QuantParams, out: QuantParams, *, axis: int, log: bool
) -> ir.Value:
    """Return softmax (or its logarithm) of int8 `x` over `axis`, of the quantised type `out`."""
    stored = b.storage(x)
    largest = b.reduce("tosa.reduce_max", stored, axis)
    below = b.sub(rescaled(b, stored, 1.0, i(32)), rescaled(b, largest, 1.0, i(32)))
    # x - max is in [-255, 0]: with zero point 127 exactly the 256 values of an i8.
    index = rescaled(b, below, 1.0, i(8), zero_points=(0, 127))
    powers = np.exp((np.arange(-128, 128) - 127) * params.scale) * 2**_EXP_BITS
    exponentials = lookup(b, index, powers, 15)
    total = normalize(b, b.reduce("tosa.reduce_sum", exponentials, axis))
    if log:
        return _log(b, below, total, params, out)
    # p = e / (m * 2**(31 - shift)); e < 2**15 and 1/m <= 2**16, so the product fits.
    product = b.mul(exponentials, reciprocal(b, total))
    # Bring it to 16 fractional bits: 15 from the reciprocal, 31 - shift from the sum.
    amount = b.sub(b.splat(total.shift, 30), total.shift)
    return requantized(b, shifted_right(b, product, amount), 2.0**-16, out)


def _log(
    b: Builder, below: ir.Value, total: Normalized, params: QuantParams, out: QuantParams
) -> ir.Value:
    unit = 2.0**-16
    # log(sum) = log m + (31 - shift - exponent bits) * log 2
    octaves = b.sub(b.splat(total.shift, 31 - _EXP_BITS), total.shift)
    whole = rescaled(b, octaves, math.log(2) / unit, i(32))
    log_sum = b.add(logarithm(b, total, unit), whole)
    return requantized(b, b.sub(rescaled(b, below, params.scale / unit, i(32)), log_sum), unit, out)
