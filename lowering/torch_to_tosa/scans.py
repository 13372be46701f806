"""Running sums, products and extremes in a logarithmic number of steps."""

from __future__ import annotations

import math
from collections.abc import Callable

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, element_of, i, shape_of
from tosaic.lowering.ops import Lowering, Quantized, lowers
from tosaic.lowering.quantization.arithmetic import (
    dequantized_source,
    requantized,
    sum_unit,
    widened,
)
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type, exp, log
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.reduction import number_type, positions, reduced_count, worst

Combine = Callable[[Term, Term], Term]


def scan(b: Builder, x: ir.Value, axis: int, combine: Combine, identity: float) -> ir.Value:
    """Return what `combine` makes of x[0..k] for each k along `axis`.

    Source: Hillis & Steele, "Data Parallel Algorithms", 1986. Unlike a product with a triangular
    matrix, it keeps an infinite element from reaching those before it.
    """
    size, distance = reduced_count(x, [axis]), 1
    while distance < size:
        kept, padding = shape_of(x), [(0, 0)] * len(shape_of(x))
        kept[axis], padding[axis] = size - distance, (distance, 0)
        earlier = b.pad(b.slice(x, [0] * len(kept), kept), padding, identity)
        x = combine(Term(b, earlier), Term(b, x)).value
        distance *= 2
    return x


def _along(ctx: Lowering) -> tuple[ir.Value, int]:
    """Return operand 0 in the type to compute in, with a dim at least, and the axis."""
    x = Term(ctx.b, ctx.tensor(0)).converted(compute_type(ctx.out_element())).value
    if not shape_of(x):
        return ctx.b.reshape(x, [1]), 0
    return x, ctx.dim(1, len(shape_of(x)))


def _result(ctx: Lowering, x: ir.Value) -> ir.Value:
    value = ctx.b.reshape(x, ctx.out_shape())
    return Term(ctx.b, value).converted(ctx.out_element()).value


def _add(x: Term, y: Term) -> Term:
    return x + y


def _multiply(x: Term, y: Term) -> Term:
    return x * y


def _log_add(x: Term, y: Term) -> Term:
    high = x.maximum(y)
    shift = abs(high).equals(math.inf).where(0, high)
    return shift + log(exp(x - shift) + exp(y - shift))


def _integer_cumsum(ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams) -> ir.Value:
    b, axis = ctx.b, ctx.dim(1, len(shape_of(x)))
    unit = sum_unit(params, shape_of(x)[axis])
    total = scan(b, widened(b, x, params, unit), axis, _add, 0)
    return requantized(b, total, unit, out)


@lowers(
    "torch.aten.cumsum",
    quantized=Quantized.COMPOSITE,
    integer=_integer_cumsum,
    integer_bits=(8, 16),
    precise=True,
)
def cumsum(ctx: Lowering) -> ir.Value:
    """`cumsum(x, dim, dtype?)`."""
    return _result(ctx, scan(ctx.b, *_along(ctx), _add, 0))


@lowers("torch.aten.cumprod", precise=True)
def cumprod(ctx: Lowering) -> ir.Value:
    """`cumprod(x, dim, dtype?)`."""
    return _result(ctx, scan(ctx.b, *_along(ctx), _multiply, 1))


@lowers("torch.aten.logcumsumexp", precise=True)
def logcumsumexp(ctx: Lowering) -> ir.Value:
    """`logcumsumexp(x, dim)`."""
    return _result(ctx, scan(ctx.b, *_along(ctx), _log_add, -math.inf))


@lowers("torch.aten.cummax", "torch.aten.cummin", quantized=Quantized.SHARED)
def cummax(ctx: Lowering) -> list[ir.Value]:
    """`cummax(x, dim)`: the running extreme, and where it was seen last."""
    b, largest = ctx.b, aten_name(ctx).endswith("cummax")
    source = dequantized_source(ctx.tensor(0))
    x, axis = _along(ctx)
    if source is not None:
        x = b.reshape(b.cast(b.storage(source[0]), i(32)), shape_of(x))
    lowest = worst(element_of(x), largest=largest)
    best = scan(b, x, axis, Term.maximum if largest else Term.minimum, lowest)
    seen = Term(b, x).equals(Term(b, best))
    count = number_type(x, reduced_count(x, [axis]))
    where = seen.where(Term(b, positions(b, x, axis, count)), -1).value
    last = b.cast(b.reshape(scan(b, where, axis, Term.maximum, -1), ctx.out_shape(1)), i(32))
    index = b.cast(last, ctx.out_element(1))
    if source is not None:
        stored = b.reshape(b.cast(best, i(source[1].bits)), ctx.out_shape())
        return [b.dcast(b.scast(stored, source[1].type())), index]
    return [_result(ctx, best), index]
