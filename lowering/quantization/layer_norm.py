"""Layer, group, instance and RMS norm of quantised tensors as one unit, in fixed point.

Sources: Ba et al., 2016; Wu & He, 2018; Zhang & Sennrich, 2019.

Mean and variance are sums in int32 over all elements; the reciprocal root is good to 14 bits. Every
row is first brought to a common size by a power of two, so that rows far smaller than the tensor's
range keep their bits; then one product normalises it. All passes over the elements are sums and
products of int16, which NPUs do fastest. Nothing in between is rounded to 8 bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, i, shape_of
from tosaic.lowering.quantization.arithmetic import int32_constant, requantized, rescaled
from tosaic.lowering.quantization.fixed_point import reciprocal_root, shifted_right

_GAIN_BITS = 13
_LARGEST_OFFSET = 2**30  # beside products below 2**28
_OUT_BITS = 15  # of the normalised value, before the gain: below sqrt(count)
_LARGEST_FLOOR = 2**28  # beyond it, the input is nothing beside epsilon

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Rows:
    """Rows [1,1,R,count] in i16, of which one unit is `step` of the input's steps."""

    value: ir.Value
    step: float


def layer_norm(
    b: Builder,
    x: ir.Value,
    params: QuantParams,
    out: QuantParams,
    *,
    count: int,
    epsilon: float,
    weight: Vector | None,
    bias: Vector | None,
    centre: bool = True,
    channels: tuple[int, int, int] | None = None,
) -> ir.Value:
    """Return quantised `x` normalised by runs of `count` elements, of quantised type `out`.

    `centre` says whether the mean is taken off. Weight and bias lie along the run, or, with
    `channels`, along the middle one of the three dims that `x` is then seen as.
    """
    shape = shape_of(x)
    flat = b.reshape(b.storage(x), [1, 1, int(np.prod(shape)) // count, count])
    rows = _centred(b, flat, params, count) if centre else _widened(b, flat, params)
    # The sum of squares in units of 2**headroom, in which `count` times epsilon is `floor`. It is
    # less than 2**30, and at least 2; its root must be a power of two times a mantissa's.
    headroom = 2 * math.ceil((math.log2(count) + (params.bits == 16)) / 2)
    squares = rescaled(b, b.mul(rows.value, rows.value, element=i(32)), 2.0**-headroom, i(32))
    unit = 2.0**headroom * (rows.step * params.scale) ** 2 / count  # of the variance
    floor = int(min(max(2, round(epsilon / unit)), _LARGEST_FLOOR))
    total = b.reduce("tosa.reduce_sum", squares, 3)
    total = b.add(total, b.splat(total, floor))
    y, step = _normalized(b, rows.value, total, count, headroom)
    return b.reshape(_affine(b, y, step, out, count, weight, bias, channels), shape)


def _widened(b: Builder, x: ir.Value, params: QuantParams) -> _Rows:
    """Return `x` less its zero point, in i16 with as many bits as fit."""
    if params.bits == 16:
        return _Rows(x, 1.0)
    return _Rows(rescaled(b, x, 2.0**7, i(16), zero_points=(params.zero_point, 0)), 2.0**-7)


def _centred(b: Builder, x: ir.Value, params: QuantParams, count: int) -> _Rows:
    """Return `x` less the mean of its row."""
    rows = _widened(b, x, params)
    coarse = 2.0 ** -max(0, (count * 2 ** (params.bits + 1)).bit_length() - 31)
    wide = rescaled(b, x, coarse, i(32), zero_points=(params.zero_point, 0))
    total = b.reduce("tosa.reduce_sum", wide, 3)
    mean = rescaled(b, total, 1 / (coarse * count * rows.step), i(16))
    difference = b.sub(rescaled(b, rows.value, 1.0, i(32)), rescaled(b, mean, 1.0, i(32)))
    # Differences of 8-bit values fit with the fraction; those of 16 bits need a bit more.
    spread = 1.0 if params.bits == 8 else 2.0
    return _Rows(rescaled(b, difference, 1 / spread, i(16)), rows.step * spread)


def _normalized(
    b: Builder, x: ir.Value, total: ir.Value, count: int, headroom: int
) -> tuple[ir.Value, float]:
    """Return (i32 ``x / sqrt(mean square)`` in units of `step`, step).

    `total` is the sum of squares shifted right by `headroom`, below 2**31.
    """
    # total = m * 2**(31 - 2 * d) with m in [1/4, 1) and d in [0, 14].
    # Ethos-U shifts with rounding only: (s - 1 + 1) >> 1 for a shift s of clz - 1.
    leading = b.sub(b.unary("tosa.clz", total), b.splat(total, 2))
    d = shifted_right(b, leading, b.splat(leading, 1))
    mantissa = b.binary("tosa.logical_left_shift", total, b.add(d, d))
    power = b.binary("tosa.logical_left_shift", b.splat(d, 1), d)
    # No element is above the root of the sum of squares, sqrt(m) * 2**(15.5 - d + headroom / 2).
    grown = b.mul(x, rescaled(b, power, 1.0, i(16)), element=i(32))
    grown = rescaled(b, grown, 2.0 ** (-(headroom + 1) / 2), i(16))
    # Now that root is sqrt(m) * 2**15, and y = x / root * sqrt(count).
    inverse = rescaled(b, reciprocal_root(b, mantissa), 0.5, i(16))
    return b.mul(grown, inverse, element=i(32)), math.sqrt(count) * 2.0**-29


def _affine(
    b: Builder,
    x: ir.Value,
    step: float,
    out: QuantParams,
    count: int,
    weight: Vector | None,
    bias: Vector | None,
    channels: tuple[int, int, int] | None,
) -> ir.Value:
    """Return ``x * step * weight + bias`` of quantised type `out`."""
    gain = np.ones(1) if weight is None else weight.reshape(-1).astype(np.float64)
    offset = np.zeros(1) if bias is None else bias.reshape(-1).astype(np.float64)
    if (gain == gain[0]).all() and gain[0] > 0 and not offset.any():
        return requantized(b, x, step * float(gain[0]), out)
    axis = [1, 1, 1, -1]
    if channels is not None:
        x, axis = b.reshape(x, [1, *channels]), [1, 1, -1, 1]
    # A normalised value is below sqrt(count).
    fine = math.sqrt(count) / 2.0**_OUT_BITS
    value = rescaled(b, x, step / fine, i(16))
    largest = max(float(np.abs(gain).max()), 1e-30)
    unit = max(fine * largest / 2.0**_GAIN_BITS, float(np.abs(offset).max()) / _LARGEST_OFFSET)
    gains = b.const(np.rint(gain * fine / unit).reshape(axis), i(16))
    y = b.mul(value, gains, element=i(32))
    if offset.any():
        y = b.add(y, b.const(int32_constant((offset / unit).reshape(axis)), i(32)))
    return requantized(b, y, unit, out)
