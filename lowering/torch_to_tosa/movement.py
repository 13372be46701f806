"""Ops that move elements and compute nothing; quantised, they keep their input's parameters."""

from __future__ import annotations

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import DYNAMIC, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, Trait, lowers, normalize_dim
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.promotion import number_of
from tosaic.lowering.torch_to_tosa.shuffles import padded_by_repeating

SHARED = Quantized.SHARED


@lowers(
    "torch.aten.view",
    "torch.aten.reshape",
    "torch.aten._unsafe_view",
    "torch.aten.flatten.using_ints",
    "torch.aten.unflatten.int",
    "torch.aten.squeeze",
    "torch.aten.squeeze.dim",
    "torch.aten.squeeze.dims",
    "torch.aten.unsqueeze",
    quantized=SHARED,
    traits=Trait.MOVES,
)
def reshape(ctx: Lowering) -> ir.Value:
    """Every op whose result is its input's elements in order: the result type says the shape."""
    out = ctx.out_shape()
    if out.count(DYNAMIC) > 1:
        raise Refusal("a reshape to more than one dynamic dim; specialise the shapes")
    return ctx.b.reshape(ctx.tensor(0), out)


@lowers(
    "torch.aten.clone",
    "torch.aten.contiguous",
    "torch.aten.alias",
    "torch.aten.detach",
    "torch.aten.lift_fresh_copy",
    quantized=SHARED,
    traits=Trait.MOVES,
)
def identity(ctx: Lowering) -> ir.Value:
    """Memory formats mean nothing to a program without strides."""
    return ctx.tensor(0)


CONVERSIONS = (
    "torch.aten._to_copy",
    "torch.aten.to.dtype",
    "torch.aten.to.dtype_layout",
    "torch.aten.to.device",
    "torch.aten.to.other",
    "torch.aten.type_as",
)


@lowers(*CONVERSIONS, quantized=Quantized.NO)
def convert(ctx: Lowering) -> ir.Value:
    """Change of dtype; devices and memory formats are ignored."""
    return Term(ctx.b, ctx.tensor(0)).converted(ctx.out_element()).value


@lowers("torch.aten.permute", quantized=SHARED, traits=Trait.MOVES)
def permute(ctx: Lowering) -> ir.Value:
    """`permute(x, dims)`."""
    x = ctx.tensor(0)
    rank = len(shape_of(x))
    return ctx.b.transpose(x, [normalize_dim(d, rank) for d in ctx.ints(1)])


@lowers("torch.aten.transpose.int", "torch.aten.transpose", quantized=SHARED, traits=Trait.MOVES)
def transpose(ctx: Lowering) -> ir.Value:
    """`transpose(x, dim0, dim1)`."""
    x = ctx.tensor(0)
    perms = list(range(len(shape_of(x))))
    if not perms:
        return x
    a, c = ctx.dim(1, len(perms)), ctx.dim(2, len(perms))
    perms[a], perms[c] = perms[c], perms[a]
    return ctx.b.transpose(x, perms)


@lowers("torch.aten.t", quantized=SHARED, traits=Trait.MOVES)
def t(ctx: Lowering) -> ir.Value:
    """`t(x)` of a matrix or vector."""
    x = ctx.tensor(0)
    return ctx.b.transpose(x, list(reversed(range(len(shape_of(x))))))


@lowers("torch.aten.slice.Tensor", quantized=SHARED, traits=Trait.MOVES)
def slice_(ctx: Lowering) -> ir.Value:
    """`slice(x, dim, start?, end?, step)`."""
    b, x = ctx.b, ctx.tensor(0)
    shape = shape_of(x)
    axis, step = ctx.dim(1, len(shape)), ctx.integer(4)
    size = shape[axis]
    if size == DYNAMIC:
        from_start = ctx.is_none(2) or ctx.scalar(2) == 0
        to_end = ctx.is_none(3) or ctx.scalar(3) >= 2**62
        if step == 1 and from_start and to_end:
            return x
        raise Refusal("a slice of a dynamic dim; specialise the shapes")
    start = 0 if ctx.is_none(2) else _bounded(ctx.integer(2), size)
    end = size if ctx.is_none(3) else _bounded(ctx.integer(3), size)
    begin, extent = [0] * len(shape), list(shape)
    begin[axis], extent[axis] = start, max(0, end - start)
    if extent[axis] == 0:
        raise Refusal("the slice is empty")
    if step == 1:
        return b.slice(x, begin, extent)
    count = -(-extent[axis] // step)
    extent[axis] = min(count * step, size - start)
    x = b.slice(x, begin, extent)
    missing = count * step - extent[axis]
    if missing:
        padding = [(0, 0)] * len(shape)
        padding[axis] = (0, missing)
        x = b.pad(x, padding)
    x = b.reshape(x, [*shape[:axis], count, step, *shape[axis + 1 :]])
    first = shape_of(x)
    first[axis + 1] = 1
    x = b.slice(x, [0] * len(first), first)
    return b.reshape(x, [*shape[:axis], count, *shape[axis + 1 :]])


def _bounded(index: int, size: int) -> int:
    return min(max(index + size if index < 0 else index, 0), size)


@lowers("torch.aten.select.int", quantized=SHARED, traits=Trait.MOVES)
def select(ctx: Lowering) -> ir.Value:
    """`select(x, dim, index)`."""
    x = ctx.tensor(0)
    shape = shape_of(x)
    axis, index = ctx.dim(1, len(shape)), ctx.integer(2)
    if shape[axis] == DYNAMIC and index < 0:
        raise Refusal("the last elements of a dynamic dim; specialise the shapes")
    begin, extent = [0] * len(shape), list(shape)
    begin[axis], extent[axis] = index % shape[axis] if index < 0 else index, 1
    return ctx.b.reshape(ctx.b.slice(x, begin, extent), ctx.out_shape())


@lowers("torch.aten.expand", "torch.aten.broadcast_to", quantized=SHARED, traits=Trait.MOVES)
def expand(ctx: Lowering) -> ir.Value:
    """`expand(x, size)`."""
    b, x, out = ctx.b, ctx.tensor(0), ctx.out_shape()
    shape = [1] * (len(out) - len(shape_of(x))) + shape_of(x)
    if DYNAMIC in out and shape != out:
        raise Refusal("an expand to a dynamic dim; specialise the shapes")
    repeats = [1 if have == want else want for have, want in zip(shape, out, strict=True)]
    return b.tile(b.reshape(x, shape), repeats)


@lowers("torch.aten.repeat", quantized=SHARED, traits=Trait.MOVES)
def repeat(ctx: Lowering) -> ir.Value:
    """`repeat(x, times)`."""
    x, times = ctx.tensor(0), ctx.ints(1)
    shape = [1] * (len(times) - len(shape_of(x))) + shape_of(x)
    return ctx.b.tile(ctx.b.reshape(x, shape), times)


@lowers("torch.aten.cat", quantized=SHARED, traits=Trait.MOVES)
def cat(ctx: Lowering) -> ir.Value:
    """`cat(tensors, dim)`; PyTorch skips empty 1-D tensors."""
    b, element = ctx.b, ctx.out_element()
    values = [b.cast(v, element) for v in ctx.tensors(0) if shape_of(v) != [0]]
    if len(values) == 1:
        return values[0]
    return b.concat(values, ctx.dim(1, len(ctx.out_shape())))


@lowers("torch.aten.stack", quantized=SHARED, traits=Trait.MOVES)
def stack(ctx: Lowering) -> ir.Value:
    """`stack(tensors, dim)`."""
    b, axis, element = ctx.b, ctx.dim(1, len(ctx.out_shape())), ctx.out_element()
    parts = []
    for value in ctx.tensors(0):
        shape = shape_of(value)
        parts.append(b.reshape(b.cast(value, element), [*shape[:axis], 1, *shape[axis:]]))
    return parts[0] if len(parts) == 1 else b.concat(parts, axis)


@lowers("torch.aten.constant_pad_nd", quantized=SHARED, traits=Trait.MOVES)
def constant_pad(ctx: Lowering) -> ir.Value:
    """`constant_pad_nd(x, pads, value)`; pads run from the last dim, negative ones crop."""
    return _pad(ctx, ctx.ints(1), _number(ctx, 2))


@lowers("torch.aten.pad", quantized=SHARED, traits=Trait.MOVES)
def pad(ctx: Lowering) -> ir.Value:
    """`pad(x, pads, mode, value?)`."""
    if ctx.text(2) != "constant":
        return padded_by_repeating(ctx, ctx.ints(1), ctx.text(2))
    return _pad(ctx, ctx.ints(1), 0.0 if ctx.is_none(3) else _number(ctx, 3))


def _number(ctx: Lowering, index: int) -> float:
    number = number_of(ctx, index)
    return ctx.scalar(index) if number is None else number  # which says why it is not known


def _pad(ctx: Lowering, pads: list[int], value: float) -> ir.Value:
    b, x = ctx.b, ctx.tensor(0)
    shape = shape_of(x)
    padding = [(0, 0)] * len(shape)
    for n in range(len(pads) // 2):
        padding[len(shape) - 1 - n] = (pads[2 * n], pads[2 * n + 1])
    if any(p < 0 for pair in padding for p in pair):
        if any(d == DYNAMIC and min(pair) < 0 for d, pair in zip(shape, padding, strict=True)):
            raise Refusal("negative padding of a dynamic dim; specialise the shapes")
        begin = [max(0, -p) for p, _ in padding]
        size = [
            d if d == DYNAMIC else d - max(0, -p) - max(0, -q)
            for d, (p, q) in zip(shape, padding, strict=True)
        ]
        x = b.slice(x, begin, size)
        padding = [(max(0, p), max(0, q)) for p, q in padding]
    if not any(p for pair in padding for p in pair):
        return x
    return b.pad(x, padding, value)
