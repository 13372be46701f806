"""Differences of neighbours, and integrals by trapezoids."""

from __future__ import annotations

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import shape_of
from tosaic.lowering.ops import Lowering, Refusal, lowers
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.pieces import joined, part, static_shape


@lowers("torch.aten.diff")
def diff(ctx: Lowering) -> ir.Value:
    """`diff(x, times, dim, prepend?, append?)`."""
    b, x = ctx.b, ctx.tensor(0)
    static_shape(x)
    if ctx.integer(1) == 0:
        return x
    axis = ctx.dim(2, len(shape_of(x)))
    ends = [None if ctx.is_none(n) else ctx.tensor(n) for n in (3, 4)]
    parts = [v for v in (ends[0], x, ends[1]) if v is not None]
    value = Term(b, joined(b, parts, axis))
    bits = str(value.element) == "i1"
    value = value if bits else value.at_least_i32()
    for _ in range(ctx.integer(1)):
        size = shape_of(value.value)[axis] - 1
        if size < 1:
            raise Refusal("the difference is empty")
        low, high = (Term(b, part(b, value.value, axis, start, size)) for start in (0, 1))
        value = high ^ low if bits else high - low
    return value.converted(ctx.out_element()).value


@lowers("torch.aten.trapezoid.dx", "torch.aten.trapz.dx", precise=True)
def trapezoid(ctx: Lowering) -> ir.Value:
    """`trapezoid(y, dx, dim)`: the sum of the means of neighbours."""
    b, y = ctx.b, ctx.tensor(0)
    axis = ctx.dim(2, len(static_shape(y)))
    size = shape_of(y)[axis] - 1
    low, high = (Term(b, b.cast(part(b, y, axis, s, size), ctx.out_element())) for s in (0, 1))
    total = Term(b, b.reduce("tosa.reduce_sum", (low + high).value, axis))
    return b.reshape((total * (ctx.real(1) / 2)).value, ctx.out_shape())


@lowers("torch.aten.trapezoid.x", "torch.aten.trapz.x", precise=True)
def trapezoid_over(ctx: Lowering) -> ir.Value:
    """`trapezoid(y, x, dim)`: neighbours are as far apart as in x; a vector x lies along dim."""
    b, element = ctx.b, ctx.out_element()
    y, x = (b.cast(ctx.tensor(n), element) for n in (0, 1))
    rank = len(static_shape(y))
    axis = ctx.dim(2, rank)
    if len(static_shape(x)) == 1:
        x = b.reshape(x, [shape_of(x)[0] if k == axis else 1 for k in range(rank)])
    x, y = b.equal_ranks(x, y)
    axis += len(shape_of(y)) - rank

    def pair(v: ir.Value) -> tuple[Term, Term]:
        size = shape_of(v)[axis] - 1
        return Term(b, part(b, v, axis, 0, size)), Term(b, part(b, v, axis, 1, size))

    (x0, x1), (y0, y1) = pair(x), pair(y)
    areas = ((x1 - x0) * (y0 + y1)).value
    total = Term(b, b.reduce("tosa.reduce_sum", areas, axis)) * 0.5
    return b.reshape(total.value, ctx.out_shape())
