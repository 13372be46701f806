"""Layer, group, instance and RMS norm of int8 tensors as one unit, in int32 fixed point.

Sources: Ba et al., 2016; Wu & He, 2018; Zhang & Sennrich, 2019.

Mean and variance are sums over all elements in int32; the reciprocal root is good to about 14 bits;
weight and bias are applied per channel in the last rescales. Nothing in between is rounded to 8
bits.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, i, shape_of
from tosaic.lowering.quantization.arithmetic import (
    int32_constant,
    requantized,
    rescaled,
    widened,
)
from tosaic.lowering.quantization.fixed_point import (
    lookup,
    normalize,
    reciprocal_root,
    shifted_right,
)

_CENTRE_BITS = 7  # fractional bits of x - mean: 9 + 7 bits, whose square fits in int32
_GAIN_BITS = 13
_OUT_BITS = 12  # fractional bits, in output steps, of the sum of the scaled value and the bias

Vector = npt.NDArray[np.float64]


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
    """Return int8 `x` normalised by runs of `count` elements, of quantised type `out`.

    `centre` says whether the mean is taken off. Weight and bias lie along the run, or, with
    `channels`, along the middle one of the three dims that `x` is then seen as.
    """
    shape = shape_of(x)
    rows = int(np.prod(shape)) // count
    flat = b.reshape(x, [1, 1, rows, count])
    centred, total, headroom = _moments(b, flat, params, count, centre=centre)
    # total is count * variance in units of 2**(headroom - 2 * centre bits) input steps squared.
    unit = 2.0 ** (headroom - 2 * _CENTRE_BITS)
    floor = max(1, round(epsilon / params.scale**2 * count / unit))
    total = b.add(total, b.splat(total, min(floor, 2**28)))
    normal = normalize(b, total)
    root, halves = _root(b, normal.shift, reciprocal_root(b, normal))
    product = shifted_right(b, b.mul(centred, root), halves)
    # y = centred / 2**7 / sqrt(total * unit / count), and 1/sqrt(total) = root 2**-14 2**-halves
    step = math.sqrt(count / unit) / 2.0 ** (_CENTRE_BITS + 14)
    if channels is not None and not (weight is None and bias is None):
        product = b.reshape(product, [1, *channels])
        y = _affine_by_channel(b, product, step, out, count, weight, bias)
    else:
        y = _affine(b, product, step, out, count, weight, bias)
    return b.reshape(y, shape)


def _moments(
    b: Builder, x: ir.Value, params: QuantParams, count: int, *, centre: bool
) -> tuple[ir.Value, ir.Value, int]:
    """Return (x - mean) * 2**7, the sum of its squares >> headroom, and headroom."""
    wide = widened(b, x, params, params.scale)
    centred = rescaled(b, wide, 2.0**_CENTRE_BITS, i(32))
    if centre:
        total = b.reduce("tosa.reduce_sum", wide, 3)
        centred = b.sub(centred, rescaled(b, total, 2.0**_CENTRE_BITS / count, i(32)))
    headroom = max(1, math.ceil(math.log2(count)) + 1)
    squares = rescaled(b, b.mul(centred, centred), 2.0**-headroom, i(32))
    return centred, b.reduce("tosa.reduce_sum", squares, 3), headroom


def _root(b: Builder, shift: ir.Value, root: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Return (root 2**-15 2**14 corrected for odd exponents, how many octaves to halve by).

    1/sqrt(m * 2**(31-shift)): the whole part of (31-shift)/2 is a shift, the half a factor.
    """
    exponents = 31 - np.clip(np.arange(-128, 128), 0, 31)
    index = rescaled(b, shift, 1.0, i(8))
    halves = lookup(b, index, np.floor(exponents / 2), 7)
    factor = lookup(b, index, np.where(exponents % 2, 2.0**13.5, 2.0**14), 15)
    half_root = rescaled(b, root, 0.5, i(32))  # < 2**14.5, so that the product fits
    return rescaled(b, b.mul(half_root, factor), 2.0**-14, i(32)), halves


def _affine(
    b: Builder,
    x: ir.Value,
    step: float,
    out: QuantParams,
    count: int,
    weight: Vector | None,
    bias: Vector | None,
) -> ir.Value:
    if weight is None and bias is None:
        return requantized(b, x, step, out)
    gain = np.ones(count) if weight is None else weight.reshape(-1).astype(np.float64)
    fine = out.scale / 2**_OUT_BITS
    # A rescale cannot be negative or zero: signs are a product, tiny gains are taken as none.
    signs = np.where(np.abs(gain) * step / fine < 2.0**-31, 0, np.sign(gain))
    if (signs != 1).any():
        x = b.mul(x, b.const(signs.reshape(1, 1, 1, count), i(32)))
    scales = np.where(signs == 0, 1.0, np.abs(gain) * step / fine)
    y = rescaled(b, x, [float(s) for s in scales], i(32))
    if bias is not None:
        offset = int32_constant(bias.reshape(1, 1, 1, count) / fine)
        y = b.add(y, b.const(offset, i(32)))
    return requantized(b, y, fine, out)


def _affine_by_channel(
    b: Builder,
    x: ir.Value,
    step: float,
    out: QuantParams,
    count: int,
    weight: Vector | None,
    bias: Vector | None,
) -> ir.Value:
    """Apply gains along dim 2 of 4 as products: a rescale has them along the last dim only.

    A normalised value is below sqrt(count); with the gain's 13 bits it must fit into 30.
    """
    fraction = 30 - _GAIN_BITS - math.ceil(math.log2(max(count, 2)) / 2) - 1
    y = rescaled(b, x, step * 2.0**fraction, i(32))
    gain = np.ones(1) if weight is None else weight.reshape(-1).astype(np.float64)
    unit = max(float(np.abs(gain).max()), 1e-30) / 2**_GAIN_BITS
    y = b.mul(y, b.const(int32_constant(gain.reshape(1, 1, -1, 1) / unit), i(32)))
    unit /= 2.0**fraction
    if bias is not None:
        offset = int32_constant(np.clip(bias.reshape(1, 1, -1, 1) / unit, -(2**30), 2**30))
        y = b.add(y, b.const(offset, i(32)))
    return requantized(b, y, unit, out)
