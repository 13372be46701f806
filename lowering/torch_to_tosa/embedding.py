"""Lookups in tables of rows, alone and summed up bag by bag."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import i, shape_of
from tosaic.lowering.ops import Lowering, Quantized, lowers
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.indexing import counted, stored, take_along, wrapped
from tosaic.lowering.torch_to_tosa.pieces import part, refuse_many, static_shape, unread
from tosaic.lowering.tosa.evaluate import known_value


@lowers("torch.aten.embedding", quantized=Quantized.SHARED)
def embedding(ctx: Lowering) -> ir.Value:
    """`embedding(weight, index, …)`: rows of the weight; padding_idx is for training."""
    b, weight, index = ctx.b, ctx.tensor(0), ctx.tensor(1)
    rows, _ = static_shape(weight)
    static_shape(index)
    data = stored(b, weight)
    return data.back(take_along(b, data.values[0], 0, counted(b, index, rows, data.values[0])))


@dataclass(frozen=True)
class _Bags:
    """Rows to be combined: `rows` [B or 1, L, C], of which a bag has those in `members` [B, L]."""

    b: Builder
    rows: Term
    members: Term | None

    def combined(self, kind: str, nothing: float) -> Term:
        """Return `tosa.<kind>` of the members of each bag as [B,1,C]; others are `nothing`."""
        rows = self.rows
        if self.members is not None:
            wide = self.b.reshape(self.members.value, [*shape_of(self.members.value), 1])
            rows = Term(self.b, wide).where(rows, nothing)
        return Term(self.b, self.b.reduce(f"tosa.{kind}", rows.value, 1))

    def counts(self) -> Term | None:
        """Return how many members the bags have, as [B,1,1]; None: all rows."""
        if self.members is None:
            return None
        ones = self.members.converted(self.rows.element).value
        total = self.b.reduce("tosa.reduce_sum", ones, 1)
        return Term(self.b, self.b.reshape(total, [*shape_of(total), 1]))


def _bags(ctx: Lowering, rows: Term, valid: Term | None) -> _Bags:
    """Return `rows` [N,C] by bags, which start at the offsets in operand 2."""
    b, (n, c), count = ctx.b, shape_of(rows.value), ctx.out_shape()[0]
    starts, size = known_value(ctx.tensor(2)), n // count
    if starts is not None and n and np.array_equal(starts[:count] * count, np.arange(count) * n):
        members = None if valid is None else Term(b, b.reshape(valid.value, [count, size]))
        return _Bags(b, Term(b, b.reshape(rows.value, [count, size, c])), members)
    refuse_many(count * n * c, "a bag of many rows")
    given = b.cast(ctx.tensor(2), i(32))
    ends = b.concat([part(b, given, 0, 1, shape_of(given)[0] - 1), b.const([n], i(32))], 0)
    first, end = (Term(b, b.reshape(part(b, v, 0, 0, count), [count, 1])) for v in (given, ends))
    numbers = Term(b, b.const(np.arange(n).reshape(1, n), i(32)))
    members = (numbers >= first) & (numbers < end)
    if valid is not None:
        members = members & Term(b, b.reshape(valid.value, [1, n]))
    return _Bags(b, Term(b, b.reshape(rows.value, [1, n, c])), members)


@lowers("torch.aten.embedding_bag", "torch.aten.embedding_bag.padding_idx", precise=True)
def embedding_bag(ctx: Lowering) -> list[ir.Value]:
    """`embedding_bag(weight, index, offsets, …, mode, …, weights?, last, padding?)`.

    Modes are 0 for the sum, 1 for the mean and 2 for the maximum of each bag; an empty one is 0.
    """
    b, weight, mode = ctx.b, ctx.tensor(0), ctx.integer(4)
    rows, _ = static_shape(weight)
    index = wrapped(b, ctx.tensor(1), rows, weight)
    found = Term(b, take_along(b, weight, 0, index))
    factors = ctx.optional(6)
    if factors is not None:
        found = found * Term(b, b.reshape(factors, [*shape_of(factors), 1]))
    padded = len(ctx.op.operands) > 8 and not ctx.is_none(8)
    valid = Term(b, index).differs(ctx.integer(8) % rows) if padded else None
    bags = _bags(ctx, found, valid)
    counts = bags.counts()
    if mode == 2:
        out = bags.combined("reduce_max", -math.inf)
        out = out if counts is None else (counts > 0).where(out, 0)
    else:
        out = bags.combined("reduce_sum", 0)
        if mode == 1:
            size = shape_of(bags.rows.value)[1]
            out = out * (1 / size) if counts is None else out / counts.maximum(1)
    why = "only the bags themselves are computed"
    return [b.reshape(out.value, ctx.out_shape()), *(unread(ctx, n, why) for n in (1, 2, 3))]
