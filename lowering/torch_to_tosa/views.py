"""Dims swapped, tensors stacked and repeated, flips and rolls: elements in another order."""

from __future__ import annotations

import math

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import DYNAMIC, i, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, Trait, lowers, normalize_dim
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.indexing import stored, take_along
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import (
    broadcast,
    joined,
    part,
    refuse_many,
    rolled,
    stacked,
    static_shape,
)
from tosaic.lowering.torch_to_tosa.scans import scan
from tosaic.lowering.tosa.evaluate import known_value

_SHARED = Quantized.SHARED


# --- dims ----------------------------------------------------------------------------------------


@lowers("torch.aten.swapaxes", "torch.aten.swapdims", quantized=_SHARED, traits=Trait.MOVES)
def swapaxes(ctx: Lowering) -> ir.Value:
    """`swapaxes(x, dim0, dim1)`."""
    x = ctx.tensor(0)
    perms = list(range(len(shape_of(x))))
    if not perms:
        return x
    first, second = ctx.dim(1, len(perms)), ctx.dim(2, len(perms))
    perms[first], perms[second] = perms[second], perms[first]
    return ctx.b.transpose(x, perms)


@lowers(
    "torch.aten.mT", "torch.aten.adjoint", "torch.aten.mH", quantized=_SHARED, traits=Trait.MOVES
)
def matrix_transpose(ctx: Lowering) -> ir.Value:
    """The last two dims swapped."""
    x = ctx.tensor(0)
    perms = list(range(len(shape_of(x))))
    perms[-2:] = perms[:-3:-1]
    return ctx.b.transpose(x, perms)


@lowers("torch.aten.numpy_T", "torch.aten.matrix_H", quantized=_SHARED, traits=Trait.MOVES)
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
    traits=Trait.MOVES,
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


@lowers(
    "torch.aten.ravel",
    "torch.aten.view_as",
    "torch.aten.reshape_as",
    quantized=_SHARED,
    traits=Trait.MOVES,
)
def reshape(ctx: Lowering) -> ir.Value:
    """The elements in order; the result type says the shape."""
    out = ctx.out_shape()
    if out.count(DYNAMIC) > 1:
        raise Refusal("a reshape to more than one dynamic dim; specialise the shapes")
    return ctx.b.reshape(ctx.tensor(0), out)


@lowers("torch.aten.expand_as", quantized=_SHARED, traits=Trait.MOVES)
def expand_as(ctx: Lowering) -> ir.Value:
    """`expand_as(x, other)`."""
    if DYNAMIC in ctx.out_shape() and shape_of(ctx.tensor(0)) != ctx.out_shape():
        raise Refusal("an expand to a dynamic dim; specialise the shapes")
    return broadcast(ctx.b, ctx.tensor(0), ctx.out_shape())


@lowers(
    "torch.aten.atleast_1d",
    "torch.aten.atleast_2d",
    "torch.aten.atleast_3d",
    quantized=_SHARED,
    traits=Trait.MOVES,
)
def atleast(ctx: Lowering) -> ir.Value:
    """`atleast_2d(x)`."""
    return ctx.b.reshape(ctx.tensor(0), ctx.out_shape())


@lowers("torch.aten.narrow", quantized=_SHARED, traits=Trait.MOVES)
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
    traits=Trait.MOVES,
)
def hstack(ctx: Lowering) -> ir.Value:
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


@lowers("torch.aten.tile", quantized=_SHARED, traits=Trait.MOVES)
def tile(ctx: Lowering) -> ir.Value:
    """`tile(x, times)`."""
    x, times = ctx.tensor(0), ctx.ints(1)
    if 0 in times:
        raise Refusal("the result is empty, which TOSA has no tensors for")
    rank = max(len(times), len(shape_of(x)))
    times = [1] * (rank - len(times)) + times
    return ctx.b.tile(ctx.b.reshape(x, [1] * (rank - len(shape_of(x))) + shape_of(x)), times)


@lowers("torch.aten.repeat_interleave.self_int", quantized=_SHARED, traits=Trait.MOVES)
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
    """`repeat_interleave(x, times, dim?, output_size?)`: each item as often as `times` says."""
    b, x = ctx.b, ctx.tensor(0)
    shape = static_shape(x)
    data = stored(b, x)
    (values,) = data.values
    if ctx.is_none(2) or not shape:
        shape = [math.prod(shape)]
        values, axis = b.reshape(values, shape), 0
    else:
        axis = ctx.dim(2, len(shape))
    times, given = ctx.tensor(1), known_value(ctx.tensor(1))
    if given is not None:
        times_each = np.broadcast_to(given.reshape(-1), [shape[axis]])
        index = b.const(np.repeat(np.arange(shape[axis]), times_each), i(32))
    elif ctx.is_none(3):
        raise Refusal(
            "how often each item is repeated is computed by the model, and with it the size of "
            "the result; make it a constant, or give output_size"
        )
    else:
        index = _repeated_places(b, broadcast(b, times, [shape[axis]]), ctx.integer(3))
    return data.back(take_along(b, values, axis, index))


def _repeated_places(b: Builder, times: ir.Value, count: int) -> ir.Value:
    """Return which of the items repeated `times` each is at 0 to `count`: as many as end before."""
    size = shape_of(times)[0]
    refuse_many(size * count, "repeating items as the model computes it")
    ends = Term(b, scan(b, b.cast(times, i(32)), 0, Term.__add__, 0))
    places = Term(b, b.const(np.arange(count).reshape(count, 1), i(32)))
    before = (places >= Term(b, b.reshape(ends.value, [1, size]))).converted(i(32))
    return b.reshape(b.reduce("tosa.reduce_sum", before.value, 1), [count])


# --- flips and rolls -----------------------------------------------------------------------------


def flipped(b: Builder, x: ir.Value, axes: list[int]) -> ir.Value:
    """Return `x` reversed along `axes`."""
    for axis in axes:
        x = x if shape_of(x)[axis] == 1 else b.reverse(x, axis)
    return x


@lowers("torch.aten.flip", quantized=_SHARED, traits=Trait.MOVES)
def flip(ctx: Lowering) -> ir.Value:
    """`flip(x, dims)`."""
    x = ctx.tensor(0)
    return flipped(ctx.b, x, [normalize_dim(d, len(shape_of(x))) for d in ctx.ints(1)])


@lowers("torch.aten.fliplr", "torch.aten.flipud", quantized=_SHARED, traits=Trait.MOVES)
def fliplr(ctx: Lowering) -> ir.Value:
    """The second dim (of flipud: the first) reversed."""
    return flipped(ctx.b, ctx.tensor(0), [1 if aten_name(ctx).endswith("lr") else 0])


@lowers("torch.aten.rot90", quantized=_SHARED, traits=Trait.MOVES)
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


@lowers("torch.aten.roll", quantized=_SHARED, traits=Trait.MOVES)
def roll(ctx: Lowering) -> ir.Value:
    """`roll(x, shifts, dims)`; without dims, of the elements in order."""
    b, x = ctx.b, ctx.tensor(0)
    shape, shifts, dims = static_shape(x), ctx.ints(1), ctx.ints(2)
    if not dims:
        x, dims = b.reshape(x, [math.prod(shape)]), [0]
    for shift, dim in zip(shifts, dims, strict=True):
        x = rolled(b, x, normalize_dim(dim, len(shape_of(x))), shift)
    return b.reshape(x, shape)


# --- products of sets ----------------------------------------------------------------------------


@lowers("torch.aten.cartesian_prod", quantized=_SHARED, traits=Trait.MOVES)
def cartesian_prod(ctx: Lowering) -> ir.Value:
    """`cartesian_prod(vectors)`: a row for each way to take one element of each."""
    b, vectors = ctx.b, ctx.tensors(0)
    sizes = [math.prod(static_shape(v)) for v in vectors]
    rank = len(sizes)
    columns = [
        broadcast(b, b.reshape(v, [size if k == n else 1 for k in range(rank)]), sizes)
        for n, (v, size) in enumerate(zip(vectors, sizes, strict=True))
    ]
    return b.reshape(stacked(b, columns, rank), ctx.out_shape())
