"""Sorting of small static sizes: each element counts those that come before it.

The counts are a permutation; looking for the writer of each place inverts it (see scattering), and
a gather reads the values. That is n * n comparisons without any dependence between them, which
suits TOSA better than a network of exchanges. The largest few of many are found one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import element_of, i, is_float, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.indexing import (
    Stored,
    gather_rows,
    last,
    static_shape,
    stored,
)
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.promotion import refuse_unsigned
from tosaic.lowering.torch_to_tosa.reduction import kept_from_folding, number_type
from tosaic.lowering.torch_to_tosa.scattering import last_writer

_SHARED = Quantized.SHARED
_MOST = 2**24
_FEW = 64


def _keys(b: Builder, values: ir.Value) -> Term:
    """Return what orders `values`: NaN is the largest, as infinity is."""
    x = Term(b, values).at_least_i32()
    return x.equals(x).where(x, math.inf) if is_float(x.element) else x


def sorted_places(b: Builder, values: ir.Value, count: int, *, descending: bool) -> ir.Value:
    """Return as [N,count] where the first `count` of each row of `values` [N,K] come from."""
    n, k = shape_of(values)
    if n * k * k > _MOST:
        raise Refusal(
            f"sorting {n} rows of {k} elements takes {n * k * k} comparisons, more than {_MOST}; "
            "sort fewer, or take a few with topk"
        )
    keys = _keys(b, values)
    mine = Term(b, b.reshape(keys.value, [n, k, 1]))
    other = Term(b, b.reshape(keys.value, [n, 1, k]))
    before = other > mine if descending else mine > other
    earlier = np.arange(k)[None, None, :] < np.arange(k)[None, :, None]
    tie = mine.equals(other) & Term(b, b.const(earlier, i(1)))
    ones = (before | tie).converted(number_type(values, k)).value
    ranks = b.reduce("tosa.reduce_sum", ones, 2)
    return last_writer(b, b.reshape(ranks, [n, k]), count)


def _top_places(b: Builder, values: ir.Value, count: int, *, largest: bool) -> ir.Value:
    """Return the same as `sorted_places`, one place after the other."""
    k = shape_of(values)[1]
    keys = _keys(b, values)
    numbers = Term(b, b.const(np.arange(k).reshape(1, k), number_type(values, k)))
    limits = np.iinfo(np.int32)
    if is_float(keys.element):
        worst = -math.inf if largest else math.inf
    else:
        worst = limits.min if largest else limits.max
    free: Term | None = None
    found = []
    for _ in range(count):
        left = keys if free is None else free.where(keys, worst)
        kind = "tosa.reduce_max" if largest else "tosa.reduce_min"
        hit = left.equals(Term(b, b.reduce(kind, left.value, 1)))
        if free is not None:
            hit = hit & free
        place = Term(b, b.reduce("tosa.reduce_min", hit.where(numbers, k - 1).value, 1))
        other = place.differs(numbers)
        free = other if free is None else free & other
        found.append(place.value)
    return found[0] if count == 1 else b.concat(found, 1)


@dataclass(frozen=True)
class _Lines:
    """Operand 0 as lines [N,K] along `axis`, of what it stores."""

    ctx: Lowering
    data: Stored
    rows: ir.Value
    axis: int

    def result(self, places: ir.Value, index: int = 0) -> ir.Value:
        """Return result `index`: the elements at `places` [N,W]."""
        b = self.ctx.b
        found = gather_rows(b, b.reshape(self.rows, [*shape_of(self.rows), 1]), places)
        return self.data.back(self.reshaped(b.reshape(found, shape_of(places)), index))

    def indices(self, places: ir.Value, index: int = 1) -> ir.Value:
        """Return result `index`: `places` [N,W] themselves."""
        b = self.ctx.b
        found = b.cast(b.cast(self.reshaped(places, index), i(32)), self.ctx.out_element(index))
        return kept_from_folding(b, found) if shape_of(self.rows)[1] == 1 else found

    def reshaped(self, y: ir.Value, index: int) -> ir.Value:
        """Return [N,W] as result `index` has it."""
        b, shape = self.ctx.b, shape_of(self.ctx.tensor(0)) or [1]
        rest = [size for k, size in enumerate(shape) if k != self.axis]
        y = b.reshape(y, [*rest, shape_of(y)[1]])
        perms = list(range(len(shape) - 1))
        perms.insert(self.axis, len(shape) - 1)
        return b.reshape(b.transpose(y, perms), self.ctx.out_shape(index))


def _lines(ctx: Lowering, dim: int | None) -> _Lines:
    """Return operand 0 along the axis in operand `dim` (None: the first)."""
    refuse_unsigned(ctx)
    static_shape(ctx.tensor(0))
    data = stored(ctx.b, ctx.tensor(0))
    (x,) = data.values
    if not shape_of(x):
        x = ctx.b.reshape(x, [1])
    axis = 0 if dim is None else ctx.dim(dim, len(shape_of(x)))
    return _Lines(ctx, data, last(ctx.b, x, axis)[0], axis)


# --- the ops -------------------------------------------------------------------------------------


@lowers("torch.aten.sort", "torch.aten.sort.stable", quantized=_SHARED)
def sort(ctx: Lowering) -> list[ir.Value]:
    """`sort(x, dim, descending)` and `sort(x, stable?, dim, descending)`; always stable."""
    first = 2 if aten_name(ctx).endswith("stable") else 1
    lines = _lines(ctx, first)
    count = shape_of(lines.rows)[1]
    places = sorted_places(ctx.b, lines.rows, count, descending=ctx.flag(first + 1))
    return [lines.result(places), lines.indices(places)]


@lowers("torch.aten.argsort", "torch.aten.argsort.stable")
def argsort(ctx: Lowering) -> ir.Value:
    """`argsort(x, dim, descending)` and `argsort(x, stable, dim, descending)`."""
    first = 2 if aten_name(ctx).endswith("stable") else 1
    lines = _lines(ctx, first)
    count = shape_of(lines.rows)[1]
    places = sorted_places(ctx.b, lines.rows, count, descending=ctx.flag(first + 1))
    return lines.indices(places, 0)


@lowers("torch.aten.msort", quantized=_SHARED)
def msort(ctx: Lowering) -> ir.Value:
    """`msort(x)`: along the first dim."""
    lines = _lines(ctx, None)
    return lines.result(sorted_places(ctx.b, lines.rows, shape_of(lines.rows)[1], descending=False))


@lowers("torch.aten.topk", quantized=_SHARED)
def topk(ctx: Lowering) -> list[ir.Value]:
    """`topk(x, k, dim, largest, sorted)`."""
    lines, count, largest = _lines(ctx, 2), ctx.integer(1), ctx.flag(3)
    n, k = shape_of(lines.rows)
    if count <= 8 or (n * k * k > _MOST and count <= _FEW):
        places = _top_places(ctx.b, lines.rows, count, largest=largest)
    else:
        places = sorted_places(ctx.b, lines.rows, count, descending=largest)
    return [lines.result(places), lines.indices(places)]


def _nth(lines: _Lines, n: int) -> ir.Value:
    """Return as [N,1] where the n-th smallest of each line is."""
    b, rows = lines.ctx.b, lines.rows
    places = sorted_places(b, rows, n + 1, descending=False)
    return b.slice(places, [0, n], [shape_of(rows)[0], 1])


@lowers("torch.aten.kthvalue", quantized=_SHARED)
def kthvalue(ctx: Lowering) -> list[ir.Value]:
    """`kthvalue(x, k, dim, keepdim)`."""
    lines = _lines(ctx, 2)
    place = _nth(lines, ctx.integer(1) - 1)
    return [lines.result(place), lines.indices(place)]


@lowers("torch.aten.median.dim", quantized=_SHARED)
def median_dim(ctx: Lowering) -> list[ir.Value]:
    """`median(x, dim, keepdim)`: the lower one of two; NaN is not looked for."""
    lines = _lines(ctx, 1)
    place = _nth(lines, (shape_of(lines.rows)[1] - 1) // 2)
    return [lines.result(place), lines.indices(place)]


@lowers("torch.aten.median", quantized=_SHARED)
def median(ctx: Lowering) -> ir.Value:
    """The median of all elements."""
    b = ctx.b
    refuse_unsigned(ctx)
    count = math.prod(static_shape(ctx.tensor(0)))
    data = stored(b, ctx.tensor(0))
    rows = b.reshape(data.values[0], [1, count])
    places = sorted_places(b, rows, (count - 1) // 2 + 1, descending=False)
    place = b.slice(places, [0, (count - 1) // 2], [1, 1])
    return data.back(b.reshape(gather_rows(b, b.reshape(rows, [1, count, 1]), place), []))


@lowers("torch.aten.quantile.scalar")
def quantile(ctx: Lowering) -> ir.Value:
    """`quantile(x, q, dim?, keepdim, interpolation)`."""
    b, mode = ctx.b, ctx.text(4)
    x = ctx.tensor(0)
    shape = static_shape(x)
    axis = None if ctx.is_none(2) else ctx.dim(2, len(shape))
    rows = b.reshape(x, [1, math.prod(shape)]) if axis is None else last(b, x, axis)[0]
    n, k = shape_of(rows)
    place = ctx.real(1) * (k - 1)
    low, high = math.floor(place), math.ceil(place)
    part = {"linear": place - low, "lower": 0.0, "higher": 1.0, "midpoint": 0.5}.get(mode)
    if mode == "nearest":
        low = high = round(place)
        part = 0.0
    if part is None:
        raise Refusal(f"interpolation '{mode}' has no lowering")
    places = sorted_places(b, rows, high + 1, descending=False)
    found = [
        Term(b, gather_rows(b, b.reshape(rows, [n, k, 1]), b.slice(places, [0, at], [n, 1])))
        for at in (low, high)
    ]
    value = found[0] if low == high else found[0] + (found[1] - found[0]) * part
    # Lines are in the order of the other dims, and so is the result.
    assert element_of(value.value) == ctx.out_element()
    return b.reshape(value.value, ctx.out_shape())
