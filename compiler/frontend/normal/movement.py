"""What only moves elements, in a closed list of ops: reshape, permute, expand, slice, select, cat.

Reshapes of tensors with several dynamic dims stay as they are written: their sizes would have to be
computed in the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.fx import Node

from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import arguments, bound, is_static, rank_of, shape_of, tensor_of
from tosaic.graph.passes import register_graph_pass
from tosaic.graph.rules import Rule, RulePass, rule

aten = torch.ops.aten
_MOST_RUNS = 2
_CONJUGATES = (aten.adjoint.default, aten.mH.default, aten.matrix_H.default)


@rule(
    *(aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten.ravel.default),
    *(aten.flatten.using_ints, aten.unflatten.int, aten.view_as.default, aten.reshape_as.default),
    *(aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims, aten.unsqueeze.default),
    *(aten.atleast_1d.default, aten.atleast_2d.default, aten.atleast_3d.default),
)
def reshape(e: Emitter, node: Node) -> Node | None:
    """Every reshape by the sizes it gives."""
    x = arguments(node)[0]
    if tensor_of(node) is None or tensor_of(x) is None:
        return None
    sizes = sizes_of(node)
    if sizes is None and node.target in (aten.view.default, aten._unsafe_view.default):
        sizes = list(arguments(node)[1])
    is_normal = node.target is aten.reshape.default and list(arguments(node)[1]) == sizes
    return None if sizes is None or is_normal else e(aten.reshape.default, x, sizes)


def sizes_of(node: Node) -> list[int] | None:
    """Return the dims of a node's tensor as a reshape takes them; None: too many are dynamic."""
    sizes = [d if isinstance(d, int) else -1 for d in shape_of(node)]
    unknown = sizes.count(-1)
    return None if unknown > 1 or (unknown and 0 in sizes) else sizes


@rule(
    *(aten.transpose.int, aten.t.default, aten.mT.default, aten.numpy_T.default),
    *(aten.movedim.int, aten.movedim.intlist, aten.moveaxis.int, aten.moveaxis.intlist),
    *(aten.swapaxes.default, aten.swapdims.default, aten.permute.default),
    *_CONJUGATES,
)
def permute(e: Emitter, node: Node) -> Node | None:
    """Every exchange of dims by the order it gives."""
    x = arguments(node)[0]
    tensor = tensor_of(x)
    if tensor is None or (tensor.is_complex() and node.target in _CONJUGATES):
        return None
    numbers = torch.empty(tuple(range(2, 2 + tensor.dim())), device="meta")
    moved = node.target(numbers, *arguments(node)[1:])  # type: ignore[operator]
    order = [d - 2 for d in moved.shape]
    if node.target is aten.permute.default and list(arguments(node)[1]) == order:
        return None
    return e(aten.permute.default, x, order)


@rule(aten.expand.default, aten.expand_as.default, aten.broadcast_to.default)
def expand(e: Emitter, node: Node) -> Node | None:
    """Every broadcast by the sizes it gives; -1 is a dynamic dim that stays."""
    x = arguments(node)[0]
    before = shape_of(x)
    before = [None] * (rank_of(node) - len(before)) + before
    sizes: list[int] = []
    for old, new in zip(before, shape_of(node), strict=True):
        kept = old is not None and not isinstance(old, int)
        if not isinstance(new, int) and not kept:
            return None
        sizes.append(new if isinstance(new, int) else -1)
    if node.target is aten.expand.default and list(arguments(node)[1]) == sizes:
        return None
    return e(aten.expand.default, x, sizes)


@rule(aten.repeat.default, aten.tile.default)
def repeat(e: Emitter, node: Node) -> Node | None:
    """A repetition of dims of 1 is a broadcast, and what moves no data but repeats is `repeat`."""
    x, times = arguments(node)
    if not is_static(x) or not all(isinstance(n, int) for n in times):
        return None
    rank = max(rank_of(x), len(times))
    times = [1] * (rank - len(times)) + list(times)
    shape = [1] * (rank - rank_of(x)) + shape_of(x)
    if 0 not in times and all(n == 1 or d == 1 for n, d in zip(times, shape, strict=True)):
        return e(aten.expand.default, x, shape_of(node))
    return None if node.target is aten.repeat.default else e(aten.repeat.default, x, times)


@rule(aten.repeat_interleave.self_int)
def repeat_interleave(e: Emitter, node: Node) -> Node | None:
    """Each element several times: a broadcast along a new dim, which is merged then."""
    x, times, dim, *_ = bound(node).values()
    if dim is None or not is_static(x) or not isinstance(times, int):
        return None
    shape = shape_of(x)
    before, after = shape[: dim + 1], shape[dim + 1 :]
    split = e(aten.reshape.default, x, [*before, 1, *after])
    wide = e(aten.expand.default, split, [*before, times, *after])
    return e(aten.reshape.default, wide, shape_of(node))


@rule(aten.slice.Tensor)
def slices(e: Emitter, node: Node) -> Node | None:
    """A slice with bounds inside of the tensor."""
    x, dim, start, stop, step = bound(node).values()
    size = shape_of(x)[dim]
    if not all(isinstance(v, int | None) for v in (start, stop)) or not isinstance(size, int):
        return None
    first, last, _ = slice(start, stop, step).indices(size)
    last = max(first, last)
    wanted = (x, dim, first, last) if step == 1 else (x, dim, first, last, step)
    return None if arguments(node) == wanted else e(aten.slice.Tensor, *wanted)


@rule(aten.narrow.default)
def narrow(e: Emitter, node: Node) -> Node | None:
    """A slice by start and length."""
    x, dim, start, length = arguments(node)
    if not isinstance(start, int) or not isinstance(length, int) or start < 0:
        return None
    return e(aten.slice.Tensor, x, dim, start, start + length)


@rule(aten.select.int)
def select(e: Emitter, node: Node) -> Node | None:
    """An index counted from the front."""
    x, dim, index = arguments(node)
    size = shape_of(x)[dim]
    if not isinstance(index, int) or index >= 0 or not isinstance(size, int):
        return None
    return e(aten.select.int, x, dim, index + size)


@rule(
    *(aten.split.Tensor, aten.split.sizes, aten.split_with_sizes.default, aten.chunk.default),
    *(aten.unsafe_chunk.default, aten.unsafe_split.Tensor, aten.unsafe_split_with_sizes.default),
    *(aten.tensor_split.sections, aten.tensor_split.indices),
)
def split(e: Emitter, node: Node) -> list[Any] | None:
    """Parts are slices."""
    values = bound(node)
    x, dim = next(iter(values.values())), values["dim"]
    sizes = [part.shape[dim] for part in node.meta["val"]]
    if not all(isinstance(size, int) for size in sizes):
        return None
    out, start = [], 0
    for size in sizes:
        out.append(e(aten.slice.Tensor, x, dim, start, start + size))
        start += size
    return out


@rule(aten.unbind.int)
def unbind(e: Emitter, node: Node) -> list[Any] | None:
    """Items are selected."""
    x, dim = bound(node).values()
    return [e(aten.select.int, x, dim, n) for n in range(len(node.meta["val"]))]


@rule(aten.stack.default)
def stack(e: Emitter, node: Node) -> Node | None:
    """A concatenation along a new dim of 1."""
    tensors, dim = bound(node).values()
    if not all(map(is_static, tensors)):
        return None
    shape = shape_of(tensors[0])
    rows = [e(aten.reshape.default, t, [*shape[:dim], 1, *shape[dim:]]) for t in tensors]
    return e(aten.cat.default, rows, dim)


@rule(aten.cat.default)
def repeated(e: Emitter, node: Node) -> Node | None:
    """One tensor several times along a dim of 1 is a broadcast."""
    tensors, dim = bound(node).values()
    alike = len(tensors) > 1 and all(t is tensors[0] for t in tensors)
    if not alike or not is_static(node) or shape_of(tensors[0])[dim] != 1:
        return None
    return e(aten.expand.default, tensors[0], shape_of(node))


@rule(aten.index_select.default, aten.index.Tensor)
def runs(e: Emitter, node: Node) -> Node | None:
    """Constant places in a few runs (what a roll becomes) are slices."""
    x, *where = arguments(node)
    dim, indices = where if len(where) == 2 else _one_index(where[0])
    known = e.value(indices)
    if known is None or known.dtype == torch.bool or known.dim() != 1 or not is_static(x):
        return None
    places = [int(n) % shape_of(x)[dim] for n in known]
    starts = [n for n, place in enumerate(places) if not n or place != places[n - 1] + 1]
    if not 1 <= len(starts) <= _MOST_RUNS:
        return None
    ends = [*starts[1:], len(places)]
    rows = [
        e(aten.slice.Tensor, x, dim, places[start], places[end - 1] + 1)
        for start, end in zip(starts, ends, strict=True)
    ]
    return rows[0] if len(rows) == 1 else e(aten.cat.default, rows, dim)


def _one_index(indices: Any) -> tuple[int, Any]:
    """Return the only dim that is indexed, and its places; None as places where it is not one."""
    given = [(dim, places) for dim, places in enumerate(indices) if places is not None]
    return given[0] if len(given) == 1 else (0, None)


@rule(aten.select.int)
def of_split_dim(e: Emitter, node: Node) -> Node | None:
    """An item of a dim that a reshape made is a slice of the dim it was made of."""
    x, dim, index = arguments(node)
    if x.target is not aten.reshape.default or not is_static(arguments(x)[0]):
        return None
    whole, sizes = arguments(x)[0], shape_of(x)
    before = shape_of(whole)
    inner = sizes[dim + 1 : dim + 2]
    same = before[:dim] == sizes[:dim] and before[dim + 1 :] == sizes[dim + 2 :]
    if not inner or not same or sizes[dim] == 1 or len(before) + 1 != len(sizes):
        return None
    start = index * inner[0]
    return e(aten.slice.Tensor, whole, dim, start, start + inner[0])


@rule(aten.concat.default, aten.concatenate.default)
def concat(e: Emitter, node: Node) -> Node | None:
    """`cat` under its other names."""
    return e(aten.cat.default, *node.args)


# --- chains ------------------------------------------------------------------------------------


@rule(aten.reshape.default)
def reshape_of_reshape(e: Emitter, node: Node) -> Node | None:
    """Only the last of two reshapes counts."""
    x, sizes = arguments(node)
    if x.target is not aten.reshape.default:
        return None
    return e(aten.reshape.default, arguments(x)[0], sizes)


@rule(aten.permute.default)
def permute_of_permute(e: Emitter, node: Node) -> Node | None:
    """Two orders are one."""
    x, order = arguments(node)
    if x.target is not aten.permute.default:
        return None
    first = arguments(x)[1]
    return e(aten.permute.default, arguments(x)[0], [first[d] for d in order])


@rule(aten.expand.default)
def expand_of_expand(e: Emitter, node: Node) -> Node | None:
    """Only the last of two broadcasts counts."""
    x, sizes = arguments(node)
    if x.target is not aten.expand.default or not is_static(node):
        return None
    return e(aten.expand.default, arguments(x)[0], sizes)


@rule(
    *(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor),
    *(aten.maximum.default, aten.minimum.default),
)
def broadcast_anyway(e: Emitter, node: Node) -> Node | None:
    """A broadcast operand, where the other one has the shape of the result."""
    values = list(arguments(node))
    if not is_static(node):
        return None
    for place, other in ((0, 1), (1, 0)):
        wide = values[place]
        full = tensor_of(values[other]) is not None and shape_of(values[other]) == shape_of(node)
        if full and isinstance(wide, Node) and wide.target is aten.expand.default:
            values[place] = arguments(wide)[0]
            return e(node.target, *values, **node.kwargs)
    return None


@rule(aten.permute.default)
def permute_of_ones(e: Emitter, node: Node) -> Node | None:
    """Where only dims of 1 change places, a reshape."""
    x, order = arguments(node)
    if not is_static(x):
        return None
    shape = shape_of(x)
    moved: Sequence[int] = [d for d in order if shape[d] != 1]
    return e(aten.reshape.default, x, shape_of(node)) if moved == sorted(moved) else None


@register_graph_pass
@dataclass(frozen=True)
class Movement(RulePass):
    """Write what only moves elements in few ops.

    Views, flattening, squeezing: `reshape`; exchanges of dims: `permute`; broadcasts and repeated
    elements: `expand`; parts: `slice` and `select` with bounds inside of the tensor; stacking:
    `cat`; rows at constant places: slices, where they are few. Of two reshapes, orders or
    broadcasts in a row one is left.
    """

    name: ClassVar[str] = "movement"
    rules: ClassVar[tuple[Rule, ...]] = (
        *(reshape, permute, expand, repeat, repeat_interleave, slices, narrow, select, split),
        *(
            unbind,
            stack,
            repeated,
            runs,
            of_split_dim,
            concat,
            reshape_of_reshape,
            permute_of_permute,
            expand_of_expand,
            broadcast_anyway,
        ),
        permute_of_ones,
    )
