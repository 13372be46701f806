"""Reciprocal, reciprocal square root, logarithm and wide lookups in int32 TOSA.

Only ops that every Ethos-U runs (no SELECT, INTDIV, GATHER or bitwise logic): CLZ and a left shift
normalise to a mantissa in [1/2, 1), an 8-bit TABLE gives a first guess, one Newton step makes it
about 14 bits good. Mantissas are named m, fixed-point scales are powers of two in the names' docs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import i, shape_of
from tosaic.lowering.quantization.arithmetic import rescaled

Array = npt.NDArray[np.float64]
# First guesses are indexed by v = round(256 m) in [128, 256].
_GUESS_INDEX = np.arange(-128, 128, dtype=np.float64)


@dataclass(frozen=True)
class Normalized:
    """A positive i32 tensor as ``mantissa * 2**(31 - shift) / 2**31``-style parts.

    `mantissa` is i32 with m * 2**31 in [2**30, 2**31); `shift` (i32) is how far left it was moved;
    `index` (i8) is v - 128, saturated.
    """

    mantissa: ir.Value
    shift: ir.Value
    index: ir.Value


def normalize(b: Builder, x: ir.Value) -> Normalized:
    """Return positive i32 `x` normalised."""
    shift = b.sub(b.unary("tosa.clz", x), b.splat(x, 1))
    mantissa = b.binary("tosa.logical_left_shift", x, shift)
    return Normalized(mantissa, shift, _guess_index(b, mantissa))


def _guess_index(b: Builder, mantissa: ir.Value) -> ir.Value:
    return rescaled(b, mantissa, 2.0**-23, i(8), zero_points=(0, -128))


def lookup(b: Builder, index: ir.Value, values: Array, bits: int) -> ir.Value:
    """Return i32 ``values[index + 128]``, of up to `bits` (at most 15) bits, by TABLEs of i8.

    More than 8 bits take two tables, for the high and the low byte.
    """
    stored = np.rint(values).astype(np.int64)
    if bits <= 7:
        return rescaled(b, b.table(index, stored, i(8)), 1.0, i(32))
    high, low = stored >> 8, (stored & 255) - 128
    top = rescaled(b, b.table(index, high, i(8)), 256.0, i(32))
    bottom = rescaled(b, b.table(index, low, i(8)), 1.0, i(32), zero_points=(-128, 0))
    return b.add(top, bottom)


# The 16-bit TABLE has an entry per 128 inputs, from -2**15 to 2**15, and interpolates.
FINE_INDEX = np.arange(-256, 257, dtype=np.float64)
FINE_STEP = 128


def fine_lookup(b: Builder, index: ir.Value, values: Array) -> ir.Value:
    """Return i16 ``values[256 + index / FINE_STEP]`` for i16 `index`, interpolated.

    Where `index` is `FINE_STEP` times an i8, this is one entry each, of 16 bits. On Ethos-U the
    whole is part of the operation that computes `index`.
    """
    wide = b.table(index, np.rint(values).astype(np.int64), i(16))
    return rescaled(b, wide, 1 / FINE_STEP, i(16))


def shifted_right(b: Builder, x: ir.Value, amount: ir.Value) -> ir.Value:
    """Return i32 `x` divided by two to the power of i32 `amount`, rounded."""
    shape = shape_of(x)
    return b.value(
        "tosa.arithmetic_right_shift",
        [x, amount],
        ir.RankedTensorType.get(shape, i(32)),
        round=ir.BoolAttr.get(True),
    )


def _plus(b: Builder, x: ir.Value, value: int) -> ir.Value:
    return b.add(x, b.splat(x, value))


def _mantissas(least: int) -> Array:
    """Return the mantissa of each guess, those below ``least / 256`` as that."""
    return np.clip(_GUESS_INDEX + 128, least, 256) / 256


def _guess(b: Builder, index: ir.Value, values: Array) -> ir.Value:
    """Return i32 ``round(128 * values)``, in [128, 256)."""
    table = b.table(index, np.clip(np.rint(128 * values), 128, 255) - 192, i(8))
    return _plus(b, rescaled(b, table, 1.0, i(32)), 192)


def reciprocal(b: Builder, x: Normalized) -> ir.Value:
    """Return 2**15 / m as i32 in (2**15, 2**16]."""
    guess = _guess(b, x.index, 1 / _mantissas(128))
    product = b.mul(rescaled(b, x.mantissa, 2.0**-15, i(32)), guess)  # m * r * 2**23
    rest = b.sub(b.splat(product, 2**24), product)  # (2 - m r) * 2**23
    return rescaled(b, b.mul(guess, rescaled(b, rest, 2.0**-8, i(32))), 2.0**-7, i(32))


def reciprocal_root(b: Builder, mantissa: ir.Value) -> ir.Value:
    """Return 2**15 / sqrt(m) as i32 in (2**15, 2**16], for i32 m * 2**31 with m in [1/4, 1)."""
    guess = _guess(b, _guess_index(b, mantissa), 1 / np.sqrt(_mantissas(64)))
    square = b.mul(guess, guess)
    product = b.mul(rescaled(b, mantissa, 2.0**-17, i(32)), square)  # m * r**2 * 2**28
    rest = b.sub(b.splat(product, 3 * 2**28), product)
    return rescaled(b, b.mul(guess, rescaled(b, rest, 2.0**-14, i(32))), 2.0**-7, i(32))


def logarithm(b: Builder, x: Normalized, unit: float) -> ir.Value:
    """Return the natural logarithm of m in i32 units of `unit` (below 2**-8), at most 0.

    log m = -log r + log(m r) with m r = 1 + d and d below 1 %, so log(1 + d) is d - d*d/2.
    """
    guess_values = np.clip(np.rint(128 / _mantissas(128)), 128, 255)
    guess = _guess(b, x.index, 1 / _mantissas(128))
    fine = 2.0**-14
    table = lookup(b, x.index, -np.log(guess_values / 128) / fine, 15)
    product = b.mul(rescaled(b, x.mantissa, 2.0**-15, i(32)), guess)
    rest = rescaled(b, b.sub(product, b.splat(product, 2**23)), 2.0**-9, i(32))  # d * 2**14
    half = rescaled(b, b.mul(rest, rest), 2.0**-15, i(32))
    total = b.add(table, b.sub(rest, half))
    return rescaled(b, total, fine / unit, i(32))
