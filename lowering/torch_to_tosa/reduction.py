"""Sums, means, products, extremes, counts and logical reductions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import NCHW, NHWC, Builder, i32_attr
from tosaic.dialects.types import (
    DYNAMIC,
    element_of,
    f32,
    i,
    is_float,
    is_signless_integer,
    shape_of,
    tensor,
)
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers, normalize_dim
from tosaic.lowering.quantization.arithmetic import dequantized_source
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type
from tosaic.lowering.torch_to_tosa.normalization import mean_over
from tosaic.lowering.torch_to_tosa.operators import aten_name

_RESCALED, _SHARED = Quantized.RESCALED, Quantized.SHARED


# --- what the families of reductions share -------------------------------------------------------


def reduced_axes(ctx: Lowering, index: int | None = None) -> list[int]:
    """Return the axes in operand `index`: an int, a list, or None; all where nothing is named."""
    rank = len(shape_of(ctx.tensor(0)))
    if index is None or ctx.is_none(index):
        dims = []
    elif ctx.is_scalar(index):
        dims = [ctx.integer(index)]
    else:
        dims = ctx.ints(index)
    if rank == 0:
        return []
    return sorted({normalize_dim(d, rank) for d in dims}) or list(range(rank))


def reduced_count(x: ir.Value, axes: list[int]) -> int:
    """Return how many elements of `x` become one.

    Raises:
        Refusal: where that is not known when compiling.
    """
    sizes = [shape_of(x)[axis] for axis in axes]
    if DYNAMIC in sizes:
        raise Refusal("it reduces a dynamic dim; specialise the shapes")
    return math.prod(sizes)


def reduce_over(b: Builder, name: str, x: ir.Value, axes: list[int]) -> ir.Value:
    """Return `x` reduced by `tosa.<name>` over `axes`, which stay as dims of 1."""
    for axis in axes:
        x = b.reduce(f"tosa.{name}", x, axis)
    return x


def kept_from_folding(b: Builder, x: ir.Value) -> ir.Value:
    """Return `x` behind an IDENTITY: MLIR would make a torch literal of a constant result."""
    return b.unary("tosa.identity", x)


def number_type(like: ir.Value, count: int = 0) -> ir.Type:
    """Return the type in which to count what belongs to `like`, up to `count`.

    Float targets compute in floats only, and f32 holds whole numbers below 2**24.
    """
    return f32() if is_float(element_of(like)) and count < 2**24 else i(32)


def positions(b: Builder, x: ir.Value, axis: int, element: ir.Type) -> ir.Value:
    """Return 0, 1, … along `axis` as `element`, in a shape that broadcasts with `x`."""
    shape = [1] * len(shape_of(x))
    shape[axis] = reduced_count(x, [axis])
    return b.const(np.arange(shape[axis]).reshape(shape), element)


def ordered(ctx: Lowering, index: int = 0) -> ir.Value:
    """Return tensor operand `index` for comparing: what is stored, where it is quantised."""
    x = ctx.tensor(index)
    source = dequantized_source(x)
    return x if source is None else ctx.b.storage(source[0])


def worst(element: ir.Type, *, largest: bool) -> float:
    """Return what no element loses to where the `largest`, or the smallest, is looked for."""
    if is_float(element):
        return -math.inf if largest else math.inf
    # int64 is narrowed to int32, whose constants saturate.
    bits = min(element.width, 32) - 1
    return float(-(2**bits) if largest else 2**bits - 1)


def first_extreme(b: Builder, x: ir.Value, axis: int, *, largest: bool) -> ir.Value:
    """Return as i32 where along `axis` the (first) largest or smallest is; `axis` is removed."""
    element = element_of(x)
    shape = shape_of(x)
    rest = shape[:axis] + shape[axis + 1 :]
    if is_float(element) or is_signless_integer(element, 8):
        if not largest:
            x = b.negate(x) if is_float(element) else b.unary("tosa.bitwise_not", x)
        return b.value("tosa.argmax", [x], tensor(rest, i(32)), axis=i32_attr(axis))
    # TOSA's ARGMAX takes no i32.
    wide = Term(b, x).at_least_i32()
    best = b.reduce("tosa.reduce_max" if largest else "tosa.reduce_min", wide.value, axis)
    found = wide.equals(Term(b, best)).where(
        Term(b, positions(b, x, axis, i(32))), reduced_count(x, [axis])
    )
    return b.reshape(b.reduce("tosa.reduce_min", found.value, axis), rest)


def halving(
    b: Builder, x: ir.Value, axis: int, combine: Callable[[ir.Value, ir.Value], ir.Value]
) -> ir.Value:
    """Return `x` reduced along `axis`, kept as 1, by an associative `combine` of two halves."""
    while (size := reduced_count(x, [axis])) > 1:
        start, extent = [0] * len(shape_of(x)), shape_of(x)
        extent[axis] = size // 2
        low = b.slice(x, start, extent)
        start[axis] = size // 2
        joined = combine(low, b.slice(x, start, extent))
        if size % 2:
            start[axis], extent[axis] = size - 1, 1
            joined = b.concat([joined, b.slice(x, start, extent)], axis)
        x = joined
    return x


def product_over(b: Builder, x: ir.Value, axes: list[int]) -> ir.Value:
    """Return the product of `x` over `axes`; TOSA's REDUCE_PRODUCT takes floats only."""
    if is_float(element_of(x)):
        return reduce_over(b, "reduce_product", x, axes)
    for axis in axes:
        x = halving(b, x, axis, b.mul)
    return x


def nonzero(b: Builder, x: ir.Value) -> Term:
    """Return where `x` is not 0; NaN is not."""
    return Term(b, x).converted(i(1))


def _summand(ctx: Lowering) -> ir.Value:
    """Return operand 0 in the type of the result, or the one TOSA sums it in."""
    return Term(ctx.b, ctx.tensor(0)).converted(compute_type(ctx.out_element())).value


def _result(ctx: Lowering, x: ir.Value, index: int = 0) -> ir.Value:
    value = ctx.b.reshape(x, ctx.out_shape(index))
    return Term(ctx.b, value).converted(ctx.out_element(index)).value


# --- sums, means, products -----------------------------------------------------------------------


@lowers("torch.aten.mean.dim", quantized=_RESCALED, precise=True)
def mean_dim(ctx: Lowering) -> ir.Value:
    """`mean(x, dims?, keepdim, dtype?)`."""
    return _mean(ctx, reduced_axes(ctx, 1))


@lowers("torch.aten.mean", quantized=_RESCALED, precise=True)
def mean(ctx: Lowering) -> ir.Value:
    """The mean of all elements."""
    return _mean(ctx, reduced_axes(ctx))


def _mean(ctx: Lowering, axes: list[int]) -> ir.Value:
    b, x = ctx.b, _summand(ctx)
    shape = shape_of(x)
    if DYNAMIC in [shape[axis] for axis in axes]:
        raise Refusal("the mean over a dynamic dim has no lowering; specialise the shapes")
    if axes == [2, 3] and len(shape) == 4:
        return b.reshape(_spatial_mean(b, x), ctx.out_shape())
    return b.reshape(mean_over(b, x, axes), ctx.out_shape())


def _spatial_mean(b: Builder, x: ir.Value) -> ir.Value:
    """The mean over H and W as one average pool, which is what NPUs have hardware for."""
    pooled = b.avg_pool2d(b.transpose(x, NHWC), shape_of(x)[2:], (1, 1), (0, 0, 0, 0))
    return b.transpose(pooled, NCHW)


@lowers("torch.aten.sum.dim_IntList", quantized=_RESCALED, precise=True)
def sum_dims(ctx: Lowering) -> ir.Value:
    """`sum(x, dims?, keepdim, dtype?)`."""
    return _sum(ctx, reduced_axes(ctx, 1))


@lowers("torch.aten.sum", quantized=_RESCALED, precise=True)
def sum_all(ctx: Lowering) -> ir.Value:
    """The sum of all elements."""
    return _sum(ctx, reduced_axes(ctx))


def _sum(ctx: Lowering, axes: list[int]) -> ir.Value:
    return _result(ctx, reduce_over(ctx.b, "reduce_sum", _summand(ctx), axes))


def _without_nan(ctx: Lowering) -> tuple[ir.Value, Term | None]:
    """Return operand 0 with 0 for NaN, and where it is a number (None: everywhere)."""
    b, x = ctx.b, _summand(ctx)
    if not is_float(element_of(x)) or dequantized_source(x) is not None:
        return x, None
    term = Term(b, x)
    known = term.equals(term)
    return known.where(term, 0).value, known


@lowers("torch.aten.nansum", quantized=_RESCALED, precise=True)
def nansum(ctx: Lowering) -> ir.Value:
    """`nansum(x, dims?, keepdim, dtype?)`: NaN counts as 0."""
    x, _ = _without_nan(ctx)
    return _result(ctx, reduce_over(ctx.b, "reduce_sum", x, reduced_axes(ctx, 1)))


@lowers("torch.aten.nanmean", quantized=_RESCALED, precise=True)
def nanmean(ctx: Lowering) -> ir.Value:
    """`nanmean(x, dims?, keepdim, dtype?)`: the mean of what is a number."""
    b, axes = ctx.b, reduced_axes(ctx, 1)
    reduced_count(ctx.tensor(0), axes)
    x, known = _without_nan(ctx)
    if known is None:
        return _result(ctx, mean_over(b, x, axes))
    total = Term(b, reduce_over(b, "reduce_sum", x, axes))
    ones = known.converted(element_of(x)).value
    return _result(ctx, (total / Term(b, reduce_over(b, "reduce_sum", ones, axes))).value)


@lowers("torch.aten.prod", "torch.aten.prod.dim_int", precise=True)
def prod(ctx: Lowering) -> ir.Value:
    """`prod(x, dtype?)` and `prod(x, dim, keepdim, dtype?)`."""
    axes = reduced_axes(ctx, 1 if aten_name(ctx).endswith("dim_int") else None)
    return _result(ctx, product_over(ctx.b, _summand(ctx), axes))


@lowers("torch.aten.count_nonzero", "torch.aten.count_nonzero.dim_IntList")
def count_nonzero(ctx: Lowering) -> ir.Value:
    """`count_nonzero(x, dims?)`."""
    b, axes = ctx.b, reduced_axes(ctx, 1)
    x = ctx.tensor(0)
    ones = nonzero(b, x).converted(number_type(x, reduced_count(x, axes))).value
    total = b.reshape(reduce_over(b, "reduce_sum", ones, axes), ctx.out_shape())
    return b.cast(b.cast(total, i(32)), ctx.out_element())


# --- extremes ------------------------------------------------------------------------------------


def extreme_over(b: Builder, x: ir.Value, axes: list[int], *, largest: bool) -> ir.Value:
    """Return the largest or smallest of `x` over `axes`, which stay as dims of 1."""
    if is_signless_integer(element_of(x), 1):
        return reduce_over(b, "reduce_any" if largest else "reduce_all", x, axes)
    return reduce_over(b, "reduce_max" if largest else "reduce_min", x, axes)


def _extreme(ctx: Lowering, axes: list[int], *, largest: bool, index: int = 0) -> ir.Value:
    best = extreme_over(ctx.b, ctx.tensor(0), axes, largest=largest)
    return ctx.b.reshape(best, ctx.out_shape(index))


@lowers("torch.aten.amax", "torch.aten.amin", quantized=_SHARED)
def amax(ctx: Lowering) -> ir.Value:
    """`amax(x, dims, keepdim)`."""
    return _extreme(ctx, reduced_axes(ctx, 1), largest=aten_name(ctx).endswith("amax"))


@lowers("torch.aten.max", "torch.aten.min", quantized=_SHARED)
def max_all(ctx: Lowering) -> ir.Value:
    """The largest or smallest of all elements."""
    return _extreme(ctx, reduced_axes(ctx), largest=aten_name(ctx).endswith("max"))


@lowers("torch.aten.aminmax", quantized=_SHARED)
def aminmax(ctx: Lowering) -> list[ir.Value]:
    """`aminmax(x, dim?, keepdim)`: both."""
    axes = reduced_axes(ctx, 1)
    return [
        _extreme(ctx, axes, largest=largest, index=n) for n, largest in enumerate((False, True))
    ]


@lowers("torch.aten.max.dim", "torch.aten.min.dim", quantized=_SHARED)
def max_dim(ctx: Lowering) -> list[ir.Value]:
    """`max(x, dim, keepdim)`: values and where they are."""
    largest = aten_name(ctx).endswith("max.dim")
    return [
        _extreme(ctx, reduced_axes(ctx, 1), largest=largest),
        _where_extreme(ctx, largest=largest, index=1),
    ]


@lowers("torch.aten.argmax", "torch.aten.argmin", quantized=Quantized.READS)
def argmax(ctx: Lowering) -> ir.Value:
    """`argmax(x, dim?, keepdim)`; without a dim over all elements in order."""
    return _where_extreme(ctx, largest=aten_name(ctx).endswith("argmax"))


def _where_extreme(ctx: Lowering, *, largest: bool, index: int = 0) -> ir.Value:
    b, x = ctx.b, ordered(ctx)
    shape, out = shape_of(x), ctx.out_shape(index)
    if ctx.is_none(1) or not shape:
        count = DYNAMIC if DYNAMIC in shape else math.prod(shape)
        x, axis = b.reshape(x, [*out, count]), len(out)
    else:
        axis = ctx.dim(1, len(shape))
        if len(out) == len(shape):
            x, axis = b.reshape(x, [*shape[:axis], 1, *shape[axis:]]), axis + 1
    found = b.cast(first_extreme(b, x, axis, largest=largest), ctx.out_element(index))
    return kept_from_folding(b, found) if shape_of(x)[axis] == 1 else found


# --- logical -------------------------------------------------------------------------------------


def _logical(word: str, *, named: bool) -> Callable[[Lowering], ir.Value]:
    def lower(ctx: Lowering) -> ir.Value:
        """Whether all or any elements are not 0."""
        b, axes = ctx.b, reduced_axes(ctx, 1 if named else None)
        return _result(ctx, reduce_over(b, f"reduce_{word}", nonzero(b, ctx.tensor(0)).value, axes))

    return lower


for _word in ("all", "any"):
    lowers(f"torch.aten.{_word}", f"torch.aten.{_word}.bool")(_logical(_word, named=False))
    lowers(f"torch.aten.{_word}.dim", f"torch.aten.{_word}.dims")(_logical(_word, named=True))
