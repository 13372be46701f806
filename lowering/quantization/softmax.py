"""Softmax, log-softmax and softmax under a mask of int8 tensors as one unit, in fixed point.

The exponentials are looked up with 15 bits, their sum is exact, the division is a product by a
reciprocal good to 14 bits. Plan of the error, in output steps: a quarter from the exponentials, at
most half from the rounding of the reciprocal, half from the rounding of the result.

Few passes over the elements: a lookup, a sum and a product. Shifting by the maximum, which NPUs
find slowly, is left out where the input's range is so small that no exponential loses its bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import (
    DYNAMIC,
    QuantParams,
    element_of,
    i,
    is_signless_integer,
    shape_of,
)
from tosaic.lowering.quantization.arithmetic import requantized, rescaled
from tosaic.lowering.quantization.fixed_point import (
    FINE_INDEX,
    FINE_STEP,
    fine_lookup,
    logarithm,
    normalize,
    reciprocal,
    shifted_right,
)

_ONE = 2**15 - 1  # the exponential of 0
_LEAST = 2**8  # the smallest exponential that has bits enough
_EXACT = 0.99  # output steps in which the reciprocal's unit is one; 256 parts of 1/256 are
_HIDDEN = 2.0**9  # input steps that push a hidden element out of the table
_UNIT = 2.0**10  # parts of an input step in which hidden ones are pushed
_LOG_UNIT = 2.0**-16
_FRACTION = 14  # bits below the reciprocal's, for its shift
_LONGEST = 2**16  # elements along a dynamic axis


@dataclass(frozen=True)
class Mask:
    """Elements that do not count: `hidden` is i8, 1 where an element is hidden and 0 elsewhere.

    `least` is how many elements of every row count, at least; 0 where a row may have none.
    """

    hidden: ir.Value
    least: int


def softmax(
    b: Builder,
    x: ir.Value,
    params: QuantParams,
    out: QuantParams,
    *,
    axis: int,
    mask: Mask | None = None,
) -> ir.Value:
    """Return softmax of int8 `x` over `axis`, of the quantised type `out`; hidden elements are 0.

    A row without an element that counts is 0 everywhere.
    """
    count = shape_of(x)[axis]
    least = 1 if count == DYNAMIC else count if mask is None else mask.least
    shift = not _fits_without_maximum(params, out, max(1, least))
    powers = _powers(b, x, params, axis, mask, shift=shift)
    floor = _ONE if shift else max(1, least) * math.floor(_smallest(params))
    total, halvings = _total(b, powers, axis)
    floor >>= halvings
    if least == 0:
        total = b.binary("tosa.maximum", total, b.splat(total, floor))
    inverse, unit = _inverse(b, total, floor)
    product = b.mul(powers, inverse, element=i(32))
    return requantized(b, product, 2.0**-halvings / unit, out)


def log_softmax(
    b: Builder, x: ir.Value, params: QuantParams, out: QuantParams, *, axis: int
) -> ir.Value:
    """Return the logarithm of softmax of int8 `x` over `axis`, of the quantised type `out`."""
    below = _below(b, b.storage(x), axis)
    fine = rescaled(b, below, params.scale / _LOG_UNIT, i(32))
    return requantized(b, b.sub(fine, _log_of_sum(b, below, params, axis)), _LOG_UNIT, out)


def log_sum_exp(
    b: Builder, x: ir.Value, params: QuantParams, out: QuantParams, *, axis: int
) -> ir.Value:
    """Return the logarithm of the sum of exponentials of int8 `x` over `axis`, a dim of 1 then."""
    stored = b.storage(x)
    largest = b.reduce("tosa.reduce_max", stored, axis)
    fine = rescaled(b, largest, params.scale / _LOG_UNIT, i(32), zero_points=(params.zero_point, 0))
    total = _log_of_sum(b, _below(b, stored, axis), params, axis)
    return requantized(b, b.add(fine, total), _LOG_UNIT, out)


def _log_of_sum(b: Builder, below: ir.Value, params: QuantParams, axis: int) -> ir.Value:
    """Return log(sum(exp)) over `axis` of steps `below` the maximum, in units of `_LOG_UNIT`."""
    powers = fine_lookup(b, rescaled(b, below, FINE_STEP, i(16)), _exponentials(params, 0))
    total, halvings = _total(b, powers, axis)
    normal = normalize(b, total)
    # log(sum) = log m + (31 - shift + halvings) * log 2 - log _ONE
    octaves = b.sub(b.splat(normal.shift, 31 + halvings), normal.shift)
    whole = rescaled(b, octaves, math.log(2) / _LOG_UNIT, i(32))
    whole = b.sub(whole, b.splat(whole, round(math.log(_ONE) / _LOG_UNIT)))
    return b.add(logarithm(b, normal, _LOG_UNIT), whole)


def _smallest(params: QuantParams) -> float:
    """Return the exponential of the bottom of the input's range, its top being `_ONE`."""
    return _ONE * math.exp(-params.scale * (params.high - params.low))


def _fits_without_maximum(params: QuantParams, out: QuantParams, least: int) -> bool:
    """Whether every exponential keeps bits enough without the shift by the maximum.

    The second bound is for the reciprocal: it is rounded to one part of the smallest sum, which is
    of `least` exponentials.
    """
    smallest = _smallest(params)
    return smallest >= _LEAST and smallest * least * out.scale >= _EXACT


def _exponentials(params: QuantParams, top: int) -> npt.NDArray[np.float64]:
    """Return the table of exp(steps - top), `_ONE` for `top` and 0 for what is hidden."""
    below = np.minimum(FINE_INDEX - top, 0)
    return np.where(below < -255, 0, _ONE * np.exp(below * params.scale))


def _powers(
    b: Builder,
    x: ir.Value,
    params: QuantParams,
    axis: int,
    mask: Mask | None,
    *,
    shift: bool,
) -> ir.Value:
    """Return the i16 exponentials of `x`, of which `_ONE` is the largest there is or can be."""
    stored = b.storage(x)
    top = 0 if shift else params.high
    table = _exponentials(params, top)
    if mask is None:
        steps = _below(b, stored, axis) if shift else stored
        return fine_lookup(b, rescaled(b, steps, FINE_STEP, i(16)), table)
    # Factors as in a sum of tensors of unlike scales, which Ethos-U has in one operation.
    hidden = rescaled(b, mask.hidden, _HIDDEN * _UNIT, i(32))
    away = b.sub(rescaled(b, stored, _UNIT, i(32)), hidden)
    if not shift:
        return fine_lookup(b, rescaled(b, away, FINE_STEP / _UNIT, i(16)), table)
    steps = _below(b, rescaled(b, away, 1 / _UNIT, i(16)), axis)
    return fine_lookup(b, rescaled(b, steps, FINE_STEP, i(16)), table)


def _below(b: Builder, stored: ir.Value, axis: int) -> ir.Value:
    """Return ``stored - max`` in i32, for i8 or i16 `stored` whose maximum is an i8."""
    narrow = (
        stored if is_signless_integer(element_of(stored), 8) else rescaled(b, stored, 1.0, i(8))
    )
    largest = b.reduce("tosa.reduce_max", narrow, axis)
    return b.sub(rescaled(b, stored, 1.0, i(32)), rescaled(b, largest, 1.0, i(32)))


def _total(b: Builder, powers: ir.Value, axis: int) -> tuple[ir.Value, int]:
    """Return the i32 sum, and how often it had to be halved to fit."""
    count = shape_of(powers)[axis]
    halvings = max(0, ((_LONGEST if count == DYNAMIC else count) * _ONE).bit_length() - 31)
    return b.reduce("tosa.reduce_sum", rescaled(b, powers, 2.0**-halvings, i(32)), axis), halvings


def _inverse(b: Builder, total: ir.Value, floor: int) -> tuple[ir.Value, float]:
    """Return (i16 ``unit / total``, unit) for `total` of at least `floor`: at most `_ONE`."""
    unit = _ONE * floor
    top = 31 - floor.bit_length()  # the shift of `floor`, and no total has a larger one
    normal = normalize(b, total)
    # 1 / total = reciprocal * 2**-15 * 2**(shift - 31)
    fine = rescaled(b, reciprocal(b, normal), unit * 2.0 ** (top - 46 + _FRACTION), i(32))
    amount = b.sub(b.splat(normal.shift, top + _FRACTION), normal.shift)
    return rescaled(b, shifted_right(b, fine, amount), 1.0, i(16)), float(unit)
