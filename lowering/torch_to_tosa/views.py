"""Diagonals, triangles, flips, rolls, windows and other rearrangements of a tensor's elements."""

from __future__ import annotations

import math

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import DYNAMIC, i, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers, normalize_dim
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.indexing import broadcast, static_shape, stored, take_along
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.promotion import compute_type
from tosaic.lowering.torch_to_tosa.windows import strided_slice

_SHARED = Quantized.SHARED
_FEW_PARTS = 32


def part(b: Builder, x: ir.Value, axis: int, start: int, size: int) -> ir.Value:
    """Return `size` items of `x` along `axis` from `start`."""
    begin, extent = [0] * len(shape_of(x)), shape_of(x)
    begin[axis], extent[axis] = start, size
    return b.slice(x, begin, extent)


def joined(b: Builder, values: list[ir.Value], axis: int) -> ir.Value:
    """Return `values` one behind the other along `axis`."""
    return values[0] if len(values) == 1 else b.concat(values, axis)


# --- dims ----------------------------------------------------------------------------------------


@lowers("torch.aten.swapaxes", "torch.aten.swapdims", quantized=_SHARED)
def swapaxes(ctx: Lowering) -> ir.Value:
    """`swapaxes(x, dim0, dim1)`."""
    x = ctx.tensor(0)
    perms = list(range(len(shape_of(x))))
    if not perms:
        return x
    first, second = ctx.dim(1, len(perms)), ctx.dim(2, len(perms))
    perms[first], perms[second] = perms[second], perms[first]
    return ctx.b.transpose(x, perms)


@lowers("torch.aten.mT", "torch.aten.adjoint", "torch.aten.mH", quantized=_SHARED)
def matrix_transpose(ctx: Lowering) -> ir.Value:
    """The last two dims swapped."""
    x = ctx.tensor(0)
    perms = list(range(len(shape_of(x))))
    perms[-2:] = perms[:-3:-1]
    return ctx.b.transpose(x, perms)


@lowers("torch.aten.numpy_T", "torch.aten.matrix_H", quantized=_SHARED)
def reversed_dims(ctx: Lowering) -> ir.Value:
    """All dims in reverse."""
    x = ctx.tensor(0)
    return ctx.b.transpose(x, list(reversed(range(len(shape_of(x))))))


@lowers(
    "torch.aten.movedim.int",
    "torch.aten.movedim.intlist",
    "torch.aten.moveaxis.int",
    "torch.aten.moveaxis.intlist",
    quantized=_SHARED,
)
def movedim(ctx: Lowering) -> ir.Value:
    """`movedim(x, source, destination)`."""
    x = ctx.tensor(0)
    rank = len(shape_of(x))
    if not rank:
        return x
    source, target = (
        [normalize_dim(d, rank) for d in ([ctx.integer(n)] if ctx.is_scalar(n) else ctx.ints(n))]
        for n in (1, 2)
    )
    rest = iter([k for k in range(rank) if k not in source])
    moved = dict(zip(target, source, strict=True))
    return ctx.b.transpose(x, [moved[k] if k in moved else next(rest) for k in range(rank)])


@lowers("torch.aten.ravel", "torch.aten.view_as", "torch.aten.reshape_as", quantized=_SHARED)
def reshape(ctx: Lowering) -> ir.Value:
    """The elements in order; the result type says the shape."""
    out = ctx.out_shape()
    if out.count(DYNAMIC) > 1:
        raise Refusal("a reshape to more than one dynamic dim; specialise the shapes")
    return ctx.b.reshape(ctx.tensor(0), out)


@lowers("torch.aten.expand_as", quantized=_SHARED)
def expand_as(ctx: Lowering) -> ir.Value:
    """`expand_as(x, other)`."""
    if DYNAMIC in ctx.out_shape() and shape_of(ctx.tensor(0)) != ctx.out_shape():
        raise Refusal("an expand to a dynamic dim; specialise the shapes")
    return broadcast(ctx.b, ctx.tensor(0), ctx.out_shape())


@lowers(
    "torch.aten.atleast_1d", "torch.aten.atleast_2d", "torch.aten.atleast_3d", quantized=_SHARED
)
def atleast(ctx: Lowering) -> ir.Value:
    """`atleast_2d(x)`."""
    return ctx.b.reshape(ctx.tensor(0), ctx.out_shape())


@lowers("torch.aten.narrow", quantized=_SHARED)
def narrow(ctx: Lowering) -> ir.Value:
    """`narrow(x, dim, start, length)`."""
    x = ctx.tensor(0)
    shape = static_shape(x)
    axis = ctx.dim(1, len(shape))
    if ctx.integer(3) == 0:
        raise Refusal("the result is empty, which TOSA has no tensors for")
    return part(ctx.b, x, axis, ctx.integer(2) % max(1, shape[axis]), ctx.integer(3))


@lowers(
    "torch.aten.hstack",
    "torch.aten.vstack",
    "torch.aten.dstack",
    "torch.aten.column_stack",
    "torch.aten.row_stack",
    quantized=_SHARED,
)
def stacked(ctx: Lowering) -> ir.Value:
    """`hstack(tensors)` and the like: a concat of values of at least one, two or three dims."""
    b, values = ctx.b, ctx.tensors(0)
    word = aten_name(ctx).removeprefix("torch.aten.")[0]
    rank = max(len(shape_of(v)) for v in values)
    axis = {"h": 0 if rank <= 1 else 1, "c": 1, "v": 0, "r": 0, "d": 2}[word]
    parts = []
    for value in values:
        shape = shape_of(value)
        if word == "c" and len(shape) < 2:
            shape = [math.prod(shape), 1]
        elif word in "vrd" and len(shape) < 2:
            shape = [1, math.prod(shape)]
        if not shape:
            shape = [1]
        if word == "d" and len(shape) < 3:
            shape = [*shape, 1]
        parts.append(b.reshape(b.cast(value, ctx.out_element()), shape))
    return joined(b, parts, axis)


# --- repeats -------------------------------------------------------------------------------------


@lowers("torch.aten.tile", quantized=_SHARED)
def tile(ctx: Lowering) -> ir.Value:
    """`tile(x, times)`."""
    x, times = ctx.tensor(0), ctx.ints(1)
    if 0 in times:
        raise Refusal("the result is empty, which TOSA has no tensors for")
    rank = max(len(times), len(shape_of(x)))
    times = [1] * (rank - len(times)) + times
    return ctx.b.tile(ctx.b.reshape(x, [1] * (rank - len(shape_of(x))) + shape_of(x)), times)


@lowers("torch.aten.repeat_interleave.self_int", quantized=_SHARED)
def repeat_interleave(ctx: Lowering) -> ir.Value:
    """`repeat_interleave(x, times, dim?)`: each item `times` times."""
    b, x, times = ctx.b, ctx.tensor(0), ctx.integer(1)
    shape = static_shape(x)
    if ctx.is_none(2) or not shape:
        shape, axis = [math.prod(shape)], 0
    else:
        axis = ctx.dim(2, len(shape))
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    rows = b.reshape(x, [outer * shape[axis], 1, inner])
    return b.reshape(b.tile(rows, [1, times, 1]), ctx.out_shape())


@lowers("torch.aten.repeat_interleave.self_Tensor", quantized=_SHARED)
def repeat_interleave_by(ctx: Lowering) -> ir.Value:
    """`repeat_interleave(x, times, dim?)` with constant `times`."""
    b, x = ctx.b, ctx.tensor(0)
    try:
        times = ctx.constant(1)
    except Refusal:
        raise Refusal(
            "how often each item is repeated is computed by the model, and with it the size of "
            "the result; make it a constant"
        ) from None
    shape = static_shape(x)
    data = stored(b, x)
    (values,) = data.values
    if ctx.is_none(2) or not shape:
        shape = [math.prod(shape)]
        values, axis = b.reshape(values, shape), 0
    else:
        axis = ctx.dim(2, len(shape))
    index = np.repeat(np.arange(shape[axis]), np.broadcast_to(times.reshape(-1), [shape[axis]]))
    return data.back(take_along(b, values, axis, b.const(index, i(32))))


# --- diagonals and triangles ---------------------------------------------------------------------


def diagonal_of(b: Builder, x: ir.Value, offset: int) -> ir.Value:
    """Return the diagonal of the last two dims: every (columns + 1)-th element."""
    *batch, rows, columns = shape_of(x)
    start = offset if offset >= 0 else -offset * columns
    count = min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns)
    if count <= 0:
        raise Refusal("the diagonal is empty")
    flat = b.reshape(x, [math.prod(batch), rows * columns])
    return b.reshape(strided_slice(b, flat, 1, start, count, columns + 1), [*batch, count])


def diagonal_matrix(b: Builder, x: ir.Value, offset: int) -> ir.Value:
    """Return `x` [..., n] on a diagonal of matrices of zeros."""
    *batch, count = shape_of(x)
    size, outer = count + abs(offset), math.prod(batch)
    rows = b.pad(b.reshape(x, [outer, count, 1]), [(0, 0), (0, 0), (0, size)])
    flat = b.reshape(rows, [outer, count * (size + 1)])
    start = offset if offset >= 0 else -offset * size
    missing = size * size - start - count * (size + 1)
    if start or missing > 0:
        flat = b.pad(flat, [(0, 0), (start, max(0, missing))])
    return b.reshape(part(b, flat, 1, 0, size * size), [*batch, size, size])


@lowers("torch.aten.diagonal", "torch.aten.linalg_diagonal", quantized=_SHARED)
def diagonal(ctx: Lowering) -> ir.Value:
    """`diagonal(x, offset, dim1, dim2)`."""
    b, x = ctx.b, ctx.tensor(0)
    rank = len(static_shape(x))
    dims = [ctx.dim(2, rank), ctx.dim(3, rank)]
    order = [k for k in range(rank) if k not in dims] + dims
    return diagonal_of(b, b.transpose(x, order), ctx.integer(1))


@lowers("torch.aten.diag_embed", quantized=_SHARED)
def diag_embed(ctx: Lowering) -> ir.Value:
    """`diag_embed(x, offset, dim1, dim2)`."""
    b, x = ctx.b, ctx.tensor(0)
    static_shape(x)
    rank = len(ctx.out_shape())
    dims = [ctx.dim(2, rank), ctx.dim(3, rank)]
    made = diagonal_matrix(b, x, ctx.integer(1))
    order = [k for k in range(rank) if k not in dims] + dims
    return b.transpose(made, [order.index(k) for k in range(rank)])


@lowers("torch.aten.diag", "torch.aten.diagflat", quantized=_SHARED)
def diag(ctx: Lowering) -> ir.Value:
    """`diag(x, offset)`: of a matrix its diagonal, of a vector a matrix."""
    b, x = ctx.b, ctx.tensor(0)
    shape = static_shape(x)
    if aten_name(ctx).endswith("diagflat"):
        x = b.reshape(x, [math.prod(shape)])
    make = diagonal_matrix if len(shape_of(x)) == 1 else diagonal_of
    return make(b, x, ctx.integer(1))


@lowers("torch.aten.trace", quantized=Quantized.RESCALED)
def trace(ctx: Lowering) -> ir.Value:
    """The sum of the diagonal."""
    b, x = ctx.b, ctx.tensor(0)
    static_shape(x)
    line = Term(b, diagonal_of(b, x, 0)).converted(compute_type(ctx.out_element())).value
    return b.reshape(b.reduce("tosa.reduce_sum", line, 0), ctx.out_shape())


@lowers("torch.aten.tril", "torch.aten.triu", quantized=_SHARED)
def tril(ctx: Lowering) -> ir.Value:
    """`tril(x, diagonal)` and `triu`: zeros on one side of a diagonal."""
    b, x = ctx.b, ctx.tensor(0)
    shape = static_shape(x)
    keep = np.tril if aten_name(ctx).endswith("tril") else np.triu
    mask = keep(np.ones(shape[-2:], bool), ctx.integer(1))
    data = stored(b, x)
    (values,) = data.values
    ones = [1] * (len(shape) - 2)
    zero = b.reshape(data.number(0), [1] * len(shape))
    return data.back(b.select(b.const(mask.reshape(*ones, *mask.shape), i(1)), values, zero))


# --- flips and rolls -----------------------------------------------------------------------------


def flipped(b: Builder, x: ir.Value, axes: list[int]) -> ir.Value:
    """Return `x` reversed along `axes`."""
    for axis in axes:
        x = x if shape_of(x)[axis] == 1 else b.reverse(x, axis)
    return x


@lowers("torch.aten.flip", quantized=_SHARED)
def flip(ctx: Lowering) -> ir.Value:
    """`flip(x, dims)`."""
    x = ctx.tensor(0)
    return flipped(ctx.b, x, [normalize_dim(d, len(shape_of(x))) for d in ctx.ints(1)])


@lowers("torch.aten.fliplr", "torch.aten.flipud", quantized=_SHARED)
def fliplr(ctx: Lowering) -> ir.Value:
    """The second dim (of flipud: the first) reversed."""
    return flipped(ctx.b, ctx.tensor(0), [1 if aten_name(ctx).endswith("lr") else 0])


@lowers("torch.aten.rot90", quantized=_SHARED)
def rot90(ctx: Lowering) -> ir.Value:
    """`rot90(x, times, dims)`."""
    b, x, times = ctx.b, ctx.tensor(0), ctx.integer(1) % 4
    rank = len(shape_of(x))
    first, second = (normalize_dim(d, rank) for d in ctx.ints(2))
    if times == 2:
        return flipped(b, x, [first, second])
    if times:
        x = flipped(b, x, [second if times == 1 else first])
        perms = list(range(rank))
        perms[first], perms[second] = second, first
        x = b.transpose(x, perms)
    return x


@lowers("torch.aten.roll", quantized=_SHARED)
def roll(ctx: Lowering) -> ir.Value:
    """`roll(x, shifts, dims)`; without dims, of the elements in order."""
    b, x = ctx.b, ctx.tensor(0)
    shape, shifts, dims = static_shape(x), ctx.ints(1), ctx.ints(2)
    if not dims:
        x, dims = b.reshape(x, [math.prod(shape)]), [0]
    for shift, dim in zip(shifts, dims, strict=True):
        axis = normalize_dim(dim, len(shape_of(x)))
        size = shape_of(x)[axis]
        cut = -shift % size
        if cut:
            pieces = [part(b, x, axis, cut, size - cut), part(b, x, axis, 0, cut)]
            x = b.concat(pieces, axis)
    return b.reshape(x, shape)


# --- windows and differences ---------------------------------------------------------------------


@lowers("torch.aten.unfold", quantized=_SHARED)
def unfold(ctx: Lowering) -> ir.Value:
    """`unfold(x, dim, size, step)`: windows, each as a new last dim."""
    b, x, size, step = ctx.b, ctx.tensor(0), ctx.integer(2), ctx.integer(3)
    shape = static_shape(x)
    if not shape:
        return b.reshape(x, ctx.out_shape())
    axis = ctx.dim(1, len(shape))
    count = (shape[axis] - size) // step + 1
    behind = list(range(axis + 1, len(shape)))
    wide = [*shape[:axis], count, size, *shape[axis + 1 :]]
    if min(count, size) > _FEW_PARTS:
        index = np.arange(count)[:, None] * step + np.arange(size)
        data = stored(b, x)
        found = take_along(b, data.values[0], axis, b.const(index, i(32)))
        windows = data.back(found)
    elif size == step:
        windows = b.reshape(part(b, x, axis, 0, count * size), wide)
    elif count <= size:
        windows = joined(b, [part(b, x, axis, n * step, size) for n in range(count)], axis)
        windows = b.reshape(windows, wide)
    else:
        columns = [strided_slice(b, x, axis, n, count, step) for n in range(size)]
        apart = [*shape[:axis], count, 1, *shape[axis + 1 :]]
        windows = joined(b, [b.reshape(column, apart) for column in columns], axis + 1)
    perms = [*range(axis + 1), *(k + 1 for k in behind), axis + 1]
    return b.transpose(windows, perms)


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


@lowers("torch.aten.trapezoid.dx", "torch.aten.trapz.dx")
def trapezoid(ctx: Lowering) -> ir.Value:
    """`trapezoid(y, dx, dim)`: the sum of the means of neighbours."""
    b, y = ctx.b, ctx.tensor(0)
    axis = ctx.dim(2, len(static_shape(y)))
    size = shape_of(y)[axis] - 1
    low, high = (Term(b, b.cast(part(b, y, axis, s, size), ctx.out_element())) for s in (0, 1))
    total = Term(b, b.reduce("tosa.reduce_sum", (low + high).value, axis))
    return b.reshape((total * (ctx.real(1) / 2)).value, ctx.out_shape())


@lowers("torch.aten.trapezoid.x", "torch.aten.trapz.x")
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


@lowers("torch.aten.cross", "torch.aten.linalg_cross")
def cross(ctx: Lowering) -> ir.Value:
    """`cross(x, y, dim)` of vectors of three."""
    b, out = ctx.b, ctx.out_shape()
    axis = out.index(3) if ctx.is_none(2) else ctx.dim(2, len(out))
    x, y = (broadcast(b, ctx.tensor(n), out) for n in (0, 1))
    x, y = (b.cast(v, ctx.out_element()) for v in (x, y))

    def turned(v: ir.Value, by: int) -> ir.Value:
        return b.concat([part(b, v, axis, by, 3 - by), part(b, v, axis, 0, by)], axis)

    return b.sub(b.mul(turned(x, 1), turned(y, 2)), b.mul(turned(x, 2), turned(y, 1)))


@lowers("torch.aten.kron", quantized=Quantized.RESCALED, activations=(0, 1))
def kron(ctx: Lowering) -> ir.Value:
    """`kron(x, y)`: each element of x times all of y."""
    b = ctx.b
    x, y = b.equal_ranks(*(b.cast(ctx.tensor(n), ctx.out_element()) for n in (0, 1)))
    left = [n for size in static_shape(x) for n in (size, 1)]
    right = [n for size in static_shape(y) for n in (1, size)]
    return b.reshape(b.mul(b.reshape(x, left), b.reshape(y, right)), ctx.out_shape())
