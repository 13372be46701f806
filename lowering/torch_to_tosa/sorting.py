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
from tosaic.dialects.types import i, is_float, shape_of
from tosaic.lowering.ops import Lowering, Quantized, lowers
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.indexing import (
    Stored,
    gather_rows,
    stored,
)
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import joined, last, refuse_many, static_shape
from tosaic.lowering.torch_to_tosa.reduction import kept_from_folding, number_type, worst
from tosaic.lowering.torch_to_tosa.scattering import last_writer

_SHARED = Quantized.SHARED
_MANY = 2**24
_FEW = 64


@dataclass(frozen=True)
class _Order:
    """What orders rows [N,K]: by `keys`, where they are equal by `places`."""

    keys: Term
    places: Term

    @classmethod
    def of(cls, b: Builder, rows: ir.Value, *, descending: bool) -> _Order:
        """NaN is larger than infinity: equal to it as a key, and placed beyond all others."""
        k = shape_of(rows)[1]
        x = Term(b, rows).at_least_i32()
        places = Term(b, b.const(np.arange(k).reshape(1, k), number_type(rows, 2 * k)))
        if not is_float(x.element):
            return cls(x, places)
        number = x.equals(x)
        beyond = places - k if descending else places + k
        return cls(number.where(x, math.inf), number.where(places, beyond))


def sorted_places(b: Builder, rows: ir.Value, count: int, *, descending: bool) -> ir.Value:
    """Return as [N,count] where the first `count` of each row [N,K] come from when sorted."""
    n, k = shape_of(rows)
    refuse_many(n * k * k, f"sorting {n} rows of {k} elements (topk takes fewer)")
    order = _Order.of(b, rows, descending=descending)

    def mine(x: Term) -> Term:
        return Term(b, b.reshape(x.value, [shape_of(x.value)[0], k, 1]))

    def other(x: Term) -> Term:
        return Term(b, b.reshape(x.value, [shape_of(x.value)[0], 1, k]))

    first, second = mine(order.keys), other(order.keys)
    before = second > first if descending else first > second
    tie = first.equals(second) & (mine(order.places) > other(order.places))
    ones = (before | tie).converted(number_type(rows, k)).value
    ranks = b.reduce("tosa.reduce_sum", ones, 2)
    return last_writer(b, b.reshape(ranks, [n, k]), count)


def _top_places(b: Builder, rows: ir.Value, count: int, *, largest: bool) -> ir.Value:
    """Return the same as `sorted_places`, one place after the other."""
    k = shape_of(rows)[1]
    order = _Order.of(b, rows, descending=largest)
    keys, places = order.keys, order.places
    lost = worst(keys.element, largest=largest)
    free: Term | None = None
    found = []
    for _ in range(count):
        left = keys if free is None else free.where(keys, lost)
        kind = "tosa.reduce_max" if largest else "tosa.reduce_min"
        hit = left.equals(Term(b, b.reduce(kind, left.value, 1)))
        if free is not None:
            hit = hit & free
        place = Term(b, b.reduce("tosa.reduce_min", hit.where(places, 2 * k).value, 1))
        other = place.differs(places)
        free = other if free is None else free & other
        found.append(place.value)
    chosen = Term(b, joined(b, found, 1))
    if not is_float(keys.element):
        return chosen.value
    # What was placed beyond the others, NaN, comes back.
    inside = (chosen < 0).where(chosen + k, chosen)
    return (inside >= k).where(inside - k, inside).value


@dataclass(frozen=True)
class Lines:
    """What a tensor of `shape` stores, as `rows` [N,K] along `axis`."""

    ctx: Lowering
    data: Stored
    rows: ir.Value
    shape: list[int]
    axis: int

    @classmethod
    def of(cls, ctx: Lowering, x: ir.Value, axis: int | None) -> Lines:
        """Return `x` along `axis`; None is all elements in order."""
        b, shape = ctx.b, static_shape(x)
        data = stored(b, x)
        (values,) = data.values
        if axis is None or not shape:
            shape, axis = [math.prod(shape)], 0
        return cls(ctx, data, last(b, b.reshape(values, shape), axis)[0], shape, axis)

    @property
    def size(self) -> int:
        """How many elements a line has."""
        return self.shape[self.axis]

    def at(self, places: ir.Value) -> ir.Value:
        """Return the elements at `places` [N,W], stored."""
        b = self.ctx.b
        found = gather_rows(b, b.reshape(self.rows, [*shape_of(self.rows), 1]), places)
        return b.reshape(found, shape_of(places))

    def result(self, places: ir.Value, index: int = 0) -> ir.Value:
        """Return result `index`: the elements at `places` [N,W]."""
        return self.data.back(self.reshaped(self.at(places), index))

    def indices(self, places: ir.Value, index: int = 1) -> ir.Value:
        """Return result `index`: `places` [N,W] themselves."""
        b = self.ctx.b
        found = b.cast(b.cast(self.reshaped(places, index), i(32)), self.ctx.out_element(index))
        return kept_from_folding(b, found) if self.size == 1 else found

    def reshaped(self, y: ir.Value, index: int) -> ir.Value:
        """Return [N,W] as result `index` has it."""
        b = self.ctx.b
        rest = [size for k, size in enumerate(self.shape) if k != self.axis]
        y = b.reshape(y, [*rest, shape_of(y)[1]])
        perms = list(range(len(rest)))
        perms.insert(self.axis, len(rest))
        return b.reshape(b.transpose(y, perms), self.ctx.out_shape(index))


def lines(ctx: Lowering, dim: int) -> Lines:
    """Return operand 0 along the axis in operand `dim`."""
    x = ctx.tensor(0)
    return Lines.of(ctx, x, ctx.dim(dim, max(1, len(shape_of(x)))))


# --- the ops -------------------------------------------------------------------------------------


def _all_sorted(rows: Lines, *, descending: bool = False) -> ir.Value:
    return sorted_places(rows.ctx.b, rows.rows, rows.size, descending=descending)


@lowers("torch.aten.sort", "torch.aten.sort.stable", quantized=_SHARED)
def sort(ctx: Lowering) -> list[ir.Value]:
    """`sort(x, dim, descending)` and `sort(x, stable?, dim, descending)`; always stable."""
    first = 2 if aten_name(ctx).endswith("stable") else 1
    rows = lines(ctx, first)
    places = _all_sorted(rows, descending=ctx.flag(first + 1))
    return [rows.result(places), rows.indices(places)]


@lowers("torch.aten.argsort", "torch.aten.argsort.stable")
def argsort(ctx: Lowering) -> ir.Value:
    """`argsort(x, dim, descending)` and `argsort(x, stable, dim, descending)`."""
    first = 2 if aten_name(ctx).endswith("stable") else 1
    rows = lines(ctx, first)
    return rows.indices(_all_sorted(rows, descending=ctx.flag(first + 1)), 0)


@lowers("torch.aten.msort", quantized=_SHARED)
def msort(ctx: Lowering) -> ir.Value:
    """`msort(x)`: along the first dim."""
    rows = Lines.of(ctx, ctx.tensor(0), 0)
    return rows.result(_all_sorted(rows))


@lowers("torch.aten.topk", quantized=_SHARED)
def topk(ctx: Lowering) -> list[ir.Value]:
    """`topk(x, k, dim, largest, sorted)`."""
    found, count, largest = lines(ctx, 2), ctx.integer(1), ctx.flag(3)
    n, k = shape_of(found.rows)
    if count <= 8 or (n * k * k > _MANY and count <= _FEW):
        places = _top_places(ctx.b, found.rows, count, largest=largest)
    else:
        places = sorted_places(ctx.b, found.rows, count, descending=largest)
    return [found.result(places), found.indices(places)]
