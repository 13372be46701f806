"""Reading an image at computed places: grid_sample, and the grids of affine maps.

Jaderberg et al., "Spatial Transformer Networks", 2015. Along each dim a place lies near a few
elements (one, two or four); every combination of them is one gather.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import reduce

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import element_of, f32
from tosaic.lowering.ops import Lowering, lowers
from tosaic.lowering.torch_to_tosa.formula import Term, polynomial, rounded, whole_quotient
from tosaic.lowering.torch_to_tosa.indexing import gather_rows
from tosaic.lowering.torch_to_tosa.linear import matmul
from tosaic.lowering.torch_to_tosa.pieces import broadcast, part, static_shape
from tosaic.lowering.torch_to_tosa.reduction import number_type

# PyTorch's numbers for the modes.
_LINEAR, _NEAREST, _CUBIC = range(3)
_ZEROS, _BORDER, _REFLECTION = range(3)
_CUBIC_A = -0.75


@dataclass(frozen=True)
class _Tap:
    """An element that is read along a dim: where, how much it counts, whether it is inside."""

    place: Term
    weight: Term | None
    inside: Term


@dataclass(frozen=True)
class _Axis:
    """How a dim of `size` elements is sampled."""

    size: int
    interpolation: int
    padding: int
    corners: bool

    def taps(self, grid: Term) -> list[_Tap]:
        """Return what is read at `grid`, where -1 and 1 are the ends of the image."""
        if self.corners:
            where = (grid + 1) * ((self.size - 1) / 2)
        else:
            where = ((grid + 1) * self.size - 1) * 0.5
        if self.interpolation == _CUBIC:
            low = where.apply("floor")
            return [
                self._tap(self._padded(low + k), weight)
                for k, weight in zip((-1, 0, 1, 2), _cubic_weights(where - low), strict=True)
            ]
        where = self._padded(where)
        if self.interpolation == _NEAREST:
            return [self._tap(rounded(where), None)]
        low = where.apply("floor")
        return [self._tap(low, 1 - (where - low)), self._tap(low + 1, where - low)]

    def _tap(self, place: Term, weight: Term | None) -> _Tap:
        inside = (place >= 0) & (place <= self.size - 1)
        return _Tap(_not_nan(place).clamp(0, self.size - 1), weight, inside)

    def _padded(self, where: Term) -> Term:
        """Return the place inside that stands for `where`."""
        if self.padding == _REFLECTION:
            start, span = (0.0, self.size - 1.0) if self.corners else (-0.5, float(self.size))
            if span == 0:
                return where * 0
            turns, rest = whole_quotient(where - start, where.like(span))
            half = turns * 0.5
            odd = half.apply("floor").differs(half)
            where = odd.where(span - rest, rest) + start
        return where if self.padding == _ZEROS else _not_nan(where).clamp(0, self.size - 1)


def _not_nan(place: Term) -> Term:
    """Return `place`, the first one for NaN, which no index may be."""
    return place.equals(place).where(place, 0)


def _cubic_weights(t: Term) -> list[Term]:
    """Return the weights of the four elements around a place `t` behind the second (Keys, 1981)."""
    a = _CUBIC_A

    def near(x: Term) -> Term:
        return polynomial(x, [a + 2, -(a + 3), 0, 1])

    def far(x: Term) -> Term:
        return polynomial(x, [a, -5 * a, 8 * a, -4 * a])

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


@lowers(
    "torch.aten.grid_sampler",
    "torch.aten.grid_sampler_2d",
    "torch.aten.grid_sampler_3d",
    precise=True,
)
def grid_sampler(ctx: Lowering) -> ir.Value:
    """`grid_sampler(x, grid, interpolation, padding, align_corners)`: [N,C,…] at [N,…,2 or 3]."""
    b, x, grid = ctx.b, ctx.tensor(0), ctx.tensor(1)
    n, c, *sizes = static_shape(x)
    spatial, count = len(sizes), math.prod(static_shape(grid)[1:-1])
    grid = b.reshape(b.cast(grid, f32()), [n, count, spatial])
    axes = [_Axis(size, ctx.integer(2), ctx.integer(3), ctx.flag(4)) for size in sizes]
    taps = []
    for k, axis in enumerate(axes):
        # The grid names the last dim first.
        line = b.reshape(part(b, grid, 2, spatial - 1 - k, 1), [n, count])
        taps.append(axis.taps(Term(b, line)))
    rows = b.transpose(b.reshape(x, [n, c, math.prod(sizes)]), (0, 2, 1))
    counting = number_type(rows, math.prod(sizes))
    parts = []
    for corner in itertools.product(*taps):
        place = Term(b, b.cast(corner[0].place.value, counting))
        for size, tap in zip(sizes[1:], corner[1:], strict=True):
            place = place * size + Term(b, b.cast(tap.place.value, counting))
        inside = reduce(Term.__and__, (tap.inside for tap in corner)).value
        found = Term(b, gather_rows(b, rows, place.value))
        found = Term(b, b.reshape(inside, [n, count, 1])).where(found, 0)
        weights = [tap.weight for tap in corner if tap.weight is not None]
        if weights:
            weight = b.reshape(reduce(Term.__mul__, weights).value, [n, count, 1])
            found = found * Term(b, b.cast(weight, element_of(x)))
        parts.append(found)
    total = reduce(Term.__add__, parts).value
    return b.reshape(b.transpose(total, (0, 2, 1)), ctx.out_shape())


@lowers("torch.aten.affine_grid_generator", precise=True)
def affine_grid(ctx: Lowering) -> ir.Value:
    """`affine_grid_generator(theta, size, align_corners)`: what a map makes of an even grid."""
    b, theta, sizes = ctx.b, ctx.tensor(0), ctx.ints(1)[2:]
    lines = []
    for size in reversed(sizes):
        ends = (size - 1) / size if not ctx.flag(2) and size > 1 else min(size - 1, 1)
        lines.append(np.linspace(-ends, ends, size))
    # Dims in reverse here too; the last row is for the offset.
    places = np.meshgrid(*lines[::-1], indexing="ij")[::-1]
    base = np.stack([*(p.reshape(-1) for p in places), np.ones(math.prod(sizes))], -1)
    n = static_shape(theta)[0]
    points = b.const(base[None], element_of(theta))
    moved = matmul(b, broadcast(b, points, [n, *base.shape]), b.transpose(theta, (0, 2, 1)))
    return b.reshape(moved, ctx.out_shape())
