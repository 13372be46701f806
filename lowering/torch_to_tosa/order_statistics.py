"""Medians, quantiles, modes and k-th values: what is at a place of the sorted elements."""

from __future__ import annotations

import math

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import constant_value, is_float, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa.formula import Operand, Term, rounded
from tosaic.lowering.torch_to_tosa.indexing import gather_rows
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import broadcast, refuse_many, static_shape
from tosaic.lowering.torch_to_tosa.reduction import extreme_over, number_type
from tosaic.lowering.torch_to_tosa.sorting import Lines, lines, sorted_places

_SHARED = Quantized.SHARED


def _numbers(rows: Lines) -> Term:
    """Return the places of a line, 0 to K-1, as [1,K] in the type to count in."""
    b, k = rows.ctx.b, rows.size
    return Term(b, b.const(np.arange(k).reshape(1, k), number_type(rows.rows, k)))


def _is_number(rows: Lines) -> Term | None:
    """Return where the elements are not NaN; None where no element can be."""
    x = Term(rows.ctx.b, rows.rows)
    return x.equals(x) if is_float(x.element) else None


def _counted(b: Builder, where: Term, like: ir.Value) -> Term:
    """Return how many of each row are true, as [N,1]."""
    ones = where.converted(number_type(like, shape_of(like)[1])).value
    return Term(b, b.reduce("tosa.reduce_sum", ones, 1))


# --- k-th values and medians ---------------------------------------------------------------------


def _nth(rows: Lines, n: int) -> ir.Value:
    """Return as [N,1] where the n-th smallest of each line is."""
    b = rows.ctx.b
    places = sorted_places(b, rows.rows, n + 1, descending=False)
    return b.slice(places, [0, n], [shape_of(rows.rows)[0], 1])


@lowers("torch.aten.kthvalue", quantized=_SHARED)
def kthvalue(ctx: Lowering) -> list[ir.Value]:
    """`kthvalue(x, k, dim, keepdim)`."""
    rows = lines(ctx, 2)
    place = _nth(rows, ctx.integer(1) - 1)
    return [rows.result(place), rows.indices(place)]


def _median(rows: Lines) -> ir.Value:
    """Return as [N,1] where the median is, the lower one of two; the first NaN if there is one."""
    b, place = rows.ctx.b, _nth(rows, (rows.size - 1) // 2)
    number = _is_number(rows)
    if number is None:
        return place
    numbers = _numbers(rows)
    first = Term(b, b.reduce("tosa.reduce_min", number.where(rows.size, numbers).value, 1))
    return (first < rows.size).where(first, Term(b, b.cast(place, numbers.element))).value


def _median_of_numbers(rows: Lines) -> ir.Value:
    """Return as [N,1] where the median of what is not NaN is."""
    b, number = rows.ctx.b, _is_number(rows)
    if number is None:
        return _nth(rows, (rows.size - 1) // 2)
    places = sorted_places(b, rows.rows, rows.size, descending=False)
    count = _counted(b, number, rows.rows)
    middle = ((count - 1) * 0.5).clamp(0, None).apply("floor")
    n, k = shape_of(places)
    return b.reshape(gather_rows(b, b.reshape(places, [n, k, 1]), middle.value), [n, 1])


@lowers("torch.aten.median.dim", "torch.aten.nanmedian.dim", quantized=_SHARED)
def median_dim(ctx: Lowering) -> list[ir.Value]:
    """`median(x, dim, keepdim)`: the lower one of two."""
    rows = lines(ctx, 1)
    place = _median_of(ctx, rows)
    return [rows.result(place), rows.indices(place)]


@lowers("torch.aten.median", "torch.aten.nanmedian", quantized=_SHARED)
def median(ctx: Lowering) -> ir.Value:
    """The median of all elements."""
    rows = Lines.of(ctx, ctx.tensor(0), None)
    return rows.result(_median_of(ctx, rows))


def _median_of(ctx: Lowering, rows: Lines) -> ir.Value:
    ignoring = aten_name(ctx).startswith("torch.aten.nan")
    return _median_of_numbers(rows) if ignoring else _median(rows)


# --- modes ---------------------------------------------------------------------------------------


@lowers("torch.aten.mode", quantized=_SHARED)
def mode(ctx: Lowering) -> list[ir.Value]:
    """`mode(x, dim, keepdim)`: the smallest of the most frequent values, and its last place.

    NaN counts as never there; in PyTorch it depends on the order of the elements.
    """
    b, rows = ctx.b, lines(ctx, 1)
    n, k = shape_of(rows.rows)
    refuse_many(n * k * k, "counting equal elements")
    x = Term(b, rows.rows).at_least_i32()
    same = Term(b, b.reshape(x.value, [n, k, 1])).equals(Term(b, b.reshape(x.value, [n, 1, k])))
    ones = same.converted(number_type(rows.rows, k)).value
    counts = Term(b, b.reshape(b.reduce("tosa.reduce_sum", ones, 2), [n, k]))
    most = counts.equals(Term(b, b.reduce("tosa.reduce_max", counts.value, 1)))
    largest = Term(b, extreme_over(b, x.value, [1], largest=True))
    least = Term(b, extreme_over(b, most.where(x, largest).value, [1], largest=False))
    place = b.reduce("tosa.reduce_max", x.equals(least).where(_numbers(rows), 0).value, 1)
    return [rows.result(place), rows.indices(place)]


# --- quantiles -----------------------------------------------------------------------------------


def _ranks(ctx: Lowering, rows: Lines, last_rank: Term | None) -> Term:
    """Return as [1,Q] or [N,Q] where the quantiles are among the sorted elements.

    `last_rank` [N,1] is the rank of the largest number; None is K - 1. Constant quantiles are
    multiplied here and not by folding, which is more precise than PyTorch and rounds elsewhere.
    """
    b, element, k = ctx.b, ctx.out_element(), rows.size
    known = np.array(ctx.real(1)) if ctx.is_scalar(1) else constant_value(ctx.tensor(1))
    if known is None:
        given = ctx.tensor(1)
        q = Term(b, b.reshape(given, [1, math.prod(static_shape(given))]))
        return q * (k - 1 if last_rank is None else last_rank)
    single = known.reshape(1, -1).astype(np.float32)
    if last_rank is None:
        return Term(b, b.const(single * np.float32(k - 1), element))
    return Term(b, b.const(single, element)) * last_rank


def _neighbours(ranks: Term, mode: str) -> tuple[Term, Term, Operand]:
    """Return the places that a quantile lies between, and how far it is from the first."""
    low, high = ranks.apply("floor"), ranks.apply("ceil")
    if mode == "linear":
        return low, high, ranks - low
    if mode == "midpoint":
        return low, high, 0.5
    one = {"lower": low, "higher": high, "nearest": rounded(ranks)}.get(mode)
    if one is None:
        raise Refusal(f"interpolation '{mode}' is unknown")
    return one, one, 0.0


def _between(low: Term, high: Term, weight: Operand) -> Term:
    """Return the mean, weighted as PyTorch does it, which tells where infinities become NaN."""
    step = high - low
    far = high - step * (1 - weight)
    if not isinstance(weight, Term):
        return far if weight >= 0.5 else low + step * weight
    return (weight < 0.5).where(low + step * weight, far)


@lowers(
    "torch.aten.quantile",
    "torch.aten.quantile.scalar",
    "torch.aten.nanquantile",
    "torch.aten.nanquantile.scalar",
    precise=True,
)
def quantile(ctx: Lowering) -> ir.Value:
    """`quantile(x, q, dim?, keepdim, interpolation)`, NaN where one is among x; `nanquantile`."""
    b, x, mode = ctx.b, ctx.tensor(0), ctx.text(4)
    rows = Lines.of(ctx, x, None if ctx.is_none(2) else ctx.dim(2, max(1, len(shape_of(x)))))
    n, k = shape_of(rows.rows)
    number = _is_number(rows)
    assert number is not None  # PyTorch takes floats only
    count = _counted(b, number, rows.rows)
    ignoring = aten_name(ctx).startswith("torch.aten.nan")
    ranks = _ranks(ctx, rows, (count - 1).clamp(0, None) if ignoring else None)
    low, high, part = _neighbours(ranks, mode)
    places = sorted_places(b, rows.rows, k, descending=False)
    ordered = b.reshape(rows.at(places), [n, k, 1])

    def at(place: Term) -> Term:
        index = broadcast(b, place.value, [n, shape_of(place.value)[1]])
        return Term(b, b.reshape(gather_rows(b, ordered, index), shape_of(index)))

    value = at(low)
    if high is not low:
        value = _between(value, at(high), part)
    if not ignoring:
        value = (count < k).where(math.nan, value)
    # A dim of quantiles comes first, lines are in the order of the other dims.
    return b.reshape(b.transpose(value.value, (1, 0)), ctx.out_shape())
