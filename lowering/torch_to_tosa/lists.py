"""Ops with a list of tensors as result: lowered where the list is unpacked."""

from __future__ import annotations

from collections.abc import Callable

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers

_SHARED = Quantized.SHARED


def _sized(source: Lowering, size: int) -> list[int]:
    """Return sizes of at most `size` that cover the split dim of operand 0."""
    shape = shape_of(source.tensor(0))
    extent = shape[source.dim(2, len(shape))]
    return [min(size, extent - start) for start in range(0, extent, size)]


def _chunks(source: Lowering) -> list[int]:
    shape = shape_of(source.tensor(0))
    return _sized(source, -(-shape[source.dim(2, len(shape))] // source.integer(1)))


# Name -> the sizes of the parts along the dim of operand 2.
_SPLITS: dict[str, Callable[[Lowering], list[int]]] = {
    "torch.aten.split.Tensor": lambda source: _sized(source, source.integer(1)),
    "torch.aten.split_with_sizes": lambda source: source.ints(1),
    "torch.aten.split.sizes": lambda source: source.ints(1),
    "torch.aten.chunk": _chunks,
}
lowers(*_SPLITS, "torch.aten.unbind.int", quantized=_SHARED)(None)


@lowers("torch.prim.ListUnpack")
def unpack(ctx: Lowering) -> list[ir.Value]:
    """The parts of a split, chunk or unbind as slices."""
    owner = ctx.op.operands[0].owner
    if isinstance(owner, ir.Block):
        raise Refusal("the list of tensors is an argument of the program")
    source = Lowering(owner, ctx.b)
    if owner.name == "torch.prim.ListConstruct":
        return [source.builtin(v) for v in owner.operands]
    x = source.tensor(0)
    shape = shape_of(x)
    if owner.name == "torch.aten.unbind.int":
        axis = source.dim(1, len(shape))
        sizes = [1] * shape[axis]
    elif owner.name in _SPLITS:
        axis, sizes = source.dim(2, len(shape)), _SPLITS[owner.name](source)
    else:
        raise Refusal(f"{owner.name} returns a list, which has no lowering")
    parts, start = [], [0] * len(shape)
    for n, size in enumerate(sizes):
        part = ctx.b.slice(x, start, [*shape[:axis], size, *shape[axis + 1 :]])
        parts.append(ctx.b.reshape(part, ctx.out_shape(n)))
        start[axis] += size
    return parts
