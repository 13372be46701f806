"""Functions of one quantised element as TOSA TABLEs, for 8 and 16 bits.

A TABLE of int8 has an entry for every value. One of int16 has 513 and interpolates between them,
which is not enough where a function bends sharply. There further tables follow: each zooms in on
a window of the input and adds what the tables before it are short of. All of that is computed here
with TOSA's own integer arithmetic, for each of the 65536 inputs, so what is returned is known to be
within one step of the rounded function. What takes too many tables (a staircase) is a GATHER.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, i, is_static, shape_of, tensor
from tosaic.lowering.ops import Refusal
from tosaic.lowering.quantization.arithmetic import integers, multiplier_and_shift, rescaled
from tosaic.lowering.quantization.fixed_point import lookup

Reals = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
RealFunction = Callable[[Reals], Reals]

_BOUND = 2**15
_BYTES = np.arange(-128, 128)
_INPUTS = np.arange(-_BOUND, _BOUND)
_MOST_TABLES = 5
# Results beyond the output's range by this factor are cut off: that they are too large is enough.
_BEYOND = 1.125
_FINE_BITS = 8  # fractional bits, in output steps, of the sum of several tables
_APART = 2048  # bad places further apart than this get windows of their own
_SMALLEST_WINDOW = 8  # log2 of half its width: a table then has an entry for every input


@dataclass(frozen=True)
class Lookup:
    """``function(x)`` for quantised `x` of parameters `params`; where infinite, `infinity`."""

    x: ir.Value
    params: QuantParams
    function: RealFunction
    infinity: float = float(np.finfo(np.float32).max)

    def quantized(self, b: Builder, out: QuantParams) -> ir.Value:
        """Return it as a value of the quantised type `out`.

        Raises:
            Refusal: it is too uneven a function of 16 bits, of a dynamic shape.
        """
        stored = b.storage(self.x)
        if self.params.bits == 8 and out.bits == 8:
            y = b.table(stored, out.quantize(self._values(_BYTES)), i(8))
        elif self.params.bits == 8:
            values = out.quantize(self._values(_BYTES)).astype(np.float64)
            y = rescaled(b, lookup(b, stored, values, 15), 1.0, i(out.bits))
        else:
            y = self._from_int16(b, out)
            full = 2 ** (out.bits - 1)
            if out.low > -full or out.high < full - 1:
                y = b.clamp(y, out.low, out.high)
        return b.scast(y, out.type())

    def _from_int16(self, b: Builder, out: QuantParams) -> ir.Value:
        """Return it for an int16 operand, saturated to all of the result's type."""
        if out.bits == 8:
            # Rounded last, from int16: a table and this are two operations on Ethos-U.
            fine = QuantParams(16, True, -_BOUND, _BOUND - 1, (out.scale / 2**7,), (0,))
            return rescaled(
                b,
                self._within(b, fine, 2**5),
                2.0**-7,
                i(8),
                zero_points=(0, out.zero_point),
            )
        return self._within(b, out, 1)

    def _within(self, b: Builder, out: QuantParams, steps: int) -> ir.Value:
        """Return it for int16 operand and result, the latter right within `steps`."""
        stored = b.storage(self.x)
        tables = _Tables.of(self._values, out.scale, (out.low, out.high), steps)
        if tables is None:
            return _gathered(b, stored, out.quantize(self._values(_INPUTS)), i(16))
        return tables.build(b, stored, i(16))

    def factors(self, b: Builder, limit: int) -> tuple[ir.Value, float]:
        """Return (i32 integers of at most `limit`, what their unit is worth); infinities are 0.

        Raises:
            Refusal: it is too uneven a function of 16 bits, of a dynamic shape.
        """
        finite = dataclasses.replace(self, infinity=0.0)
        stored, wide = b.storage(self.x), self.params.bits == 16
        values = finite._values(_INPUTS if wide else _BYTES)
        unit = max(float(np.abs(values).max()), 1e-30) / limit
        if not wide:
            return lookup(b, stored, values / unit, 15), unit
        tables = _Tables.of(finite._values, unit, (-limit, limit), 1)
        if tables is None:
            return _gathered(b, stored, integers(values / unit, 32), i(32)), unit
        return tables.build(b, stored, i(32)), unit

    def _values(self, stored: Ints) -> Reals:
        """Return the function of stored integers; 0 where it has no value."""
        inside = np.clip(stored, self.params.low, self.params.high)
        with np.errstate(all="ignore"):
            real = np.asarray(self.function(self.params.dequantize(inside)), np.float64)
        real = np.nan_to_num(real, posinf=self.infinity, neginf=-self.infinity)
        return np.broadcast_to(real, stored.shape)


def _gathered(b: Builder, x: ir.Value, values: Ints, element: ir.Type) -> ir.Value:
    """Return ``values[x + 2**15]`` of i16 `x`."""
    shape = shape_of(x)
    if not is_static(shape):
        raise Refusal("so uneven a function of int16 needs static sizes; specialise the shapes")
    count = math.prod(shape)
    index = b.reshape(rescaled(b, x, 1.0, i(32)), [1, count])
    index = b.add(index, b.splat(index, _BOUND))
    source = b.const(values.reshape(1, -1, 1), element)
    found = b.value("tosa.gather", [source, index], tensor([1, count, 1], element))
    return b.reshape(found, shape)


@dataclass(frozen=True)
class _Window:
    """A TABLE over inputs from ``centre - 2**reach`` to ``centre + 2**reach``, of unit `unit`."""

    centre: int
    reach: int
    entries: Ints
    unit: float

    @property
    def is_valid(self) -> bool:
        """Whether differences of neighbours are within i16, as TOSA wants it."""
        return bool(np.abs(np.diff(self.entries)).max() < _BOUND)

    def __call__(self, x: Ints) -> Ints:
        """Return what TABLE gives (TOSA 1.0, section 2.7.3), in units of `unit` / 128."""
        zoomed = np.clip((x - self.centre) << (15 - self.reach), -_BOUND, _BOUND - 1)
        place, rest = (zoomed + _BOUND) >> 7, zoomed & 127
        base, following = self.entries[place], self.entries[place + 1]
        return np.asarray((base << 7) + (following - base) * rest)

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        """Look i16 `x` up."""
        if self.reach < 15:
            wide = rescaled(b, x, 1.0, i(32))
            if self.centre:
                wide = b.sub(wide, b.splat(wide, self.centre))
            x = rescaled(b, wide, 2.0 ** (15 - self.reach), i(16))
        return b.table(x, self.entries, i(16))


@dataclass(frozen=True)
class _Tables:
    """Windows whose sum is a function of i16, in units of `step`."""

    windows: tuple[_Window, ...]
    step: float

    @classmethod
    def of(
        cls, function: Callable[[Ints], Reals], step: float, limits: tuple[int, int], within: int
    ) -> _Tables | None:
        """Add windows until the sum, cut off at `limits`, is `within` steps of `function`.

        None where that takes too many.
        """
        low, high = (limit * step * _BEYOND for limit in limits)

        def near(x: Ints) -> Reals:
            # The last node is one past the largest input: on with the slope that it is reached by.
            last = function(np.array([_BOUND - 2, _BOUND - 1]))
            beyond = (x - (_BOUND - 1)) * (last[1] - last[0])
            return np.asarray(np.clip(function(x) + np.where(x < _BOUND, 0.0, beyond), low, high))

        wanted = np.clip(np.rint(function(_INPUTS) / step), *limits)
        plain = cls((_plain_window(near, step),), step)
        if plain.windows[0].is_valid and not plain._wrong(wanted, limits, within).size:
            return plain
        tables = cls((_window(near, 0, 15),), step)
        while True:
            wrong = tables._wrong(wanted, limits, within)
            if not wrong.size:
                return tables
            if len(tables.windows) == _MOST_TABLES:
                return None
            window = _window(tables._shortfall(near), *_place(wrong))
            tables = cls((*tables.windows, window), step)

    def build(self, b: Builder, x: ir.Value, element: ir.Type) -> ir.Value:
        """Return the sum as `element`."""
        if len(self.windows) == 1:
            factor = self.windows[0].unit / 128 / self.step
            y = self.windows[0].build(b, x)
        else:
            factor = 2.0**-_FINE_BITS
            parts = [rescaled(b, w.build(b, x), self._factor(w), i(32)) for w in self.windows]
            y = parts[0]
            for part in parts[1:]:
                y = b.add(y, part)
        return rescaled(b, y, factor, element)

    def _wrong(self, wanted: Reals, limits: tuple[int, int], within: int) -> Ints:
        """Return the inputs whose sum, cut off at `limits`, is over `within` steps off `wanted`."""
        computed = np.clip(np.rint(self._sum(_INPUTS)), *limits)
        return np.asarray(np.flatnonzero(np.abs(computed - wanted) > within) - _BOUND)

    def _factor(self, window: _Window) -> float:
        return window.unit / 128 / self.step * 2.0**_FINE_BITS

    def _sum(self, x: Ints) -> Reals:
        """Return the sum at `x`, in steps, before it is rounded to whole steps."""
        if len(self.windows) == 1:
            return np.asarray(self.windows[0](x) * (self.windows[0].unit / 128 / self.step))
        total = np.zeros(x.shape, np.int64)
        for window in self.windows:
            multiplier, shift = multiplier_and_shift(self._factor(window))
            total += (window(x) * multiplier + (1 << (shift - 1))) >> shift
        return total / 2.0**_FINE_BITS

    def _shortfall(self, function: Callable[[Ints], Reals]) -> Callable[[Ints], Reals]:
        return lambda x: function(x) - self._sum(np.clip(x, -_BOUND, _BOUND - 1)) * self.step


def _nodes(centre: int, reach: int) -> Ints:
    """Return the inputs that a TABLE over a window has an entry for."""
    return np.asarray(centre + ((np.arange(513) - 256) << (reach - 8)))


def _plain_window(function: Callable[[Ints], Reals], step: float) -> _Window:
    """Return a table in steps of the result, which is one operation on Ethos-U."""
    values = np.clip(np.rint(function(_nodes(0, 15)) / step), -_BOUND, _BOUND - 1)
    return _Window(0, 15, values.astype(np.int64), step)


def _window(function: Callable[[Ints], Reals], centre: int, reach: int) -> _Window:
    values = function(_nodes(centre, reach))
    if reach < 15:
        values[[0, 511, 512]] = 0  # what inputs outside the window find
    # TOSA wants entries, and differences of neighbours, within i16.
    largest = max(np.abs(values).max(), np.abs(np.diff(values)).max(), 1e-30)
    unit = float(largest) / (_BOUND - 2)
    return _Window(centre, reach, np.rint(values / unit).astype(np.int64), unit)


def _place(wrong: Ints) -> tuple[int, int]:
    """Return (centre, reach) of a window around `wrong` inputs, or around a cluster of them."""
    clusters = np.split(wrong, np.flatnonzero(np.diff(wrong) > _APART) + 1)
    cluster = wrong if wrong[-1] - wrong[0] < 2**14 else max(clusters, key=len)
    low, high = int(cluster[0]), int(cluster[-1])
    if high - low >= 2**14:
        high = low + 2**14 - 1
    centre = (low + high) // 2
    reach = _SMALLEST_WINDOW
    while 254 * 2 ** (reach - 8) <= high - centre + 1:  # the outermost entries are 0
        reach += 1
    return centre, reach
