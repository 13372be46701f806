"""Ops with a list of tensors as result: lowered where the list is unpacked."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.lowering.ops import Lowering, Quantized, Refusal, Trait, lowers
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import broadcast, part, static_shape

_SHARED = Quantized.SHARED


# --- splits --------------------------------------------------------------------------------------

# (the op, the size of the dim it splits) -> what each part holds of it.
Parts = Callable[[Lowering, int], list[range]]


def _in_order(sizes: Iterable[int]) -> list[range]:
    ends = list(itertools.accumulate(sizes, initial=0))
    return [range(start, end) for start, end in itertools.pairwise(ends)]


def _of_size(size: int, extent: int) -> list[range]:
    return [range(start, min(start + size, extent)) for start in range(0, extent, size)]


def _sections(count: int, extent: int) -> list[range]:
    """`tensor_split` into `count` parts: the first ones get what is left over."""
    return _in_order(extent // count + (k < extent % count) for k in range(count))


def _between(places: list[int], extent: int) -> list[range]:
    """`tensor_split` at `places`, each part as Python slices it."""
    ends = [0, *places, extent]
    return [range(*slice(start, end).indices(extent)) for start, end in itertools.pairwise(ends)]


def _by_size(source: Lowering, extent: int) -> list[range]:
    return _of_size(source.integer(1), extent)


def _by_sizes(source: Lowering, _: int) -> list[range]:
    return _in_order(source.ints(1))


def _in_chunks(source: Lowering, extent: int) -> list[range]:
    return _of_size(-(-extent // source.integer(1)), extent)


def _in_sections(source: Lowering, extent: int) -> list[range]:
    return _sections(source.integer(1), extent)


def _at_places(source: Lowering, extent: int) -> list[range]:
    return _between(source.ints(1), extent)


def _by_tensor(source: Lowering, extent: int) -> list[range]:
    given = source.constant(1)
    return _between(given.tolist(), extent) if given.shape else _sections(int(given), extent)


_SPLITS: dict[str, Parts] = {
    "split.Tensor": _by_size,
    "unsafe_split.Tensor": _by_size,
    "split_with_sizes": _by_sizes,
    "unsafe_split_with_sizes": _by_sizes,
    "split.sizes": _by_sizes,
    "chunk": _in_chunks,
    "unsafe_chunk": _in_chunks,
    "tensor_split.sections": _in_sections,
    "tensor_split.indices": _at_places,
    "tensor_split.tensor_indices_or_sections": _by_tensor,
    **{f"{letter}split.int": _in_sections for letter in "hvd"},
    **{f"{letter}split.array": _at_places for letter in "hvd"},
    "unbind.int": lambda _, extent: _of_size(1, extent),
}


def _split_axis(source: Lowering, word: str, rank: int) -> int:
    """Return the dim that is split; of hsplit, vsplit and dsplit it is in the name."""
    if word[1:].startswith("split"):
        return {"h": min(1, rank - 1), "v": 0, "d": 2}[word[0]]
    return source.dim(1 if word == "unbind.int" else 2, rank)


def _pieces(source: Lowering, word: str) -> list[ir.Value]:
    b, x = source.b, source.tensor(0)
    shape = static_shape(x)
    axis = _split_axis(source, word, len(shape))
    pieces = [
        part(b, x, axis, taken.start, len(taken)) for taken in _SPLITS[word](source, shape[axis])
    ]
    if word == "unbind.int":
        return [b.reshape(piece, shape[:axis] + shape[axis + 1 :]) for piece in pieces]
    return pieces


# --- other lists ---------------------------------------------------------------------------------


def _meshgrid(source: Lowering) -> list[ir.Value]:
    """`meshgrid(vectors, indexing)`: "xy" swaps what the first two vectors vary along."""
    b, vectors = source.b, source.tensors(0)
    axes = list(range(len(vectors)))
    if len(source.op.operands) > 1 and source.text(1) == "xy":
        axes[:2] = axes[1::-1]
    sizes = [int(np.prod(static_shape(v))) for v in vectors]
    shape = [0] * len(axes)
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size
    return [
        broadcast(b, b.reshape(v, [size if k == axis else 1 for k in range(len(shape))]), shape)
        for v, size, axis in zip(vectors, sizes, axes, strict=True)
    ]


def _broadcast_all(source: Lowering) -> list[ir.Value]:
    values = source.tensors(0)
    shape = np.broadcast_shapes(*(tuple(static_shape(v)) for v in values))
    return [broadcast(source.b, v, shape) for v in values]


_LISTS: dict[str, Callable[[Lowering], list[ir.Value]]] = {
    "meshgrid": _meshgrid,
    "meshgrid.indexing": _meshgrid,
    "broadcast_tensors": _broadcast_all,
}
lowers(
    *(f"torch.aten.{name}" for name in (*_SPLITS, *_LISTS)), quantized=_SHARED, traits=Trait.MOVES
)(None)


@lowers("torch.prim.ListUnpack")
def unpack(ctx: Lowering) -> list[ir.Value]:
    """The tensors of a list: a split, a meshgrid, …"""
    owner = ctx.op.operands[0].owner
    if isinstance(owner, ir.Block):
        raise Refusal("the list of tensors is an argument of the program")
    source = replace(ctx, op=owner)
    if owner.name == "torch.prim.ListConstruct":
        return [source.builtin(v) for v in owner.operands]
    word = aten_name(source).removeprefix("torch.aten.")
    if word in _SPLITS:
        return _pieces(source, word)
    if word in _LISTS:
        return _LISTS[word](source)
    raise Refusal(f"{word} returns a list of tensors, which has no lowering")
