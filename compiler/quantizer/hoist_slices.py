"""Slices move up to the inputs of what is computed row by row.

A classifier reads one token of the last block: what the block makes of all others is not needed,
and neither should its range count for the quantisation of the one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.fx import GraphModule, Node

from tosaic.quantizer.emitter import Emitter

aten = torch.ops.aten


@dataclass(frozen=True)
class _Slice:
    """``x[..., start:stop, ...]`` along `dim`, counted from the front."""

    dim: int
    start: int
    stop: int

    def apply(self, e: Emitter, x: Node) -> Node:
        """Add the slice of `x`."""
        return e(aten.slice.Tensor, x, self.dim, self.start, self.stop)


# (producer, slice of its result) -> the slice of each of its operands, None: as it is; or None
# where the result's slice cannot be computed from slices.
Rule = Callable[[Node, _Slice], "dict[Node, _Slice] | None"]


def hoist_slices(model: GraphModule) -> GraphModule:
    """Move every slice of a part of a dim as far up in `model` as it goes."""
    _selects_as_slices(model)
    changed = True
    while changed:
        changed = False
        for node in reversed(list(model.graph.nodes)):
            cut = _slice_of(node)
            if cut is not None and _hoisted(model, node, cut):
                changed = True
    model.graph.eliminate_dead_code()
    model.recompile()
    return model


def _selects_as_slices(model: GraphModule) -> None:
    """Write ``select(x)`` of computed `x` as a select of a slice, which moves like any other."""
    for node in list(model.graph.nodes):
        if node.target is not aten.select.int or not _is_static(node.args[0]):
            continue
        x, dim, index = node.args
        size = x.meta["val"].shape[dim]
        if size == 1 or _rule_of(x) is None:
            continue
        start = index % size
        with model.graph.inserting_before(node):
            cut = _Slice(dim % x.meta["val"].dim(), start, start + 1).apply(Emitter(model, x), x)
        node.args = (cut, dim, 0)


def _is_static(value: Any) -> bool:
    tensor = value.meta.get("val") if isinstance(value, Node) else None
    return isinstance(tensor, torch.Tensor) and all(isinstance(d, int) for d in tensor.shape)


def _slice_of(node: Node) -> _Slice | None:
    if node.target is not aten.slice.Tensor or not _is_static(node.args[0]):
        return None
    x, dim, start, stop, step = (*node.args, *(0, None, None, 1)[len(node.args) - 1 :])
    rank, size = x.meta["val"].dim(), x.meta["val"].shape[dim]
    if step != 1 or not all(isinstance(v, int | None) for v in (start, stop)):
        return None
    first, last, _ = slice(start, stop).indices(size)
    return _Slice(dim % rank, first, last) if last > first else None


def _hoisted(model: GraphModule, node: Node, cut: _Slice) -> bool:
    producer = node.args[0]
    readers = [n for n in producer.users if n is not node]  # type: ignore[union-attr]
    if any(_slice_of(reader) != cut for reader in readers):
        return False
    rule = _rule_of(producer)
    wanted = None if rule is None else rule(producer, cut)
    if wanted is None:
        return False
    with model.graph.inserting_before(producer):
        e = Emitter(model, producer)
        known = {x: part.apply(e, x) for x, part in wanted.items()}
        args = torch.fx.map_arg(producer.args, lambda n: known.get(n, n))
        if producer.target in _RESHAPES:
            args = (args[0], list(node.meta["val"].shape))
        fresh = e(producer.target, *args, **producer.kwargs)
    for reader in [node, *readers]:
        reader.replace_all_uses_with(fresh)
        model.graph.erase_node(reader)
    model.graph.erase_node(producer)
    return True


# --- rules --------------------------------------------------------------------------------------


def _rank(value: Node) -> int:
    return int(value.meta["val"].dim())


def _elementwise(node: Node, cut: _Slice) -> dict[Node, _Slice]:
    """Operands broadcast from the right; a dim of 1 stays."""
    out = {}
    for x in node.all_input_nodes:
        dim = cut.dim - (_rank(node) - _rank(x))
        if dim >= 0 and x.meta["val"].shape[dim] > 1:
            out[x] = replace(cut, dim=dim)
    return out


def _by_rows(node: Node, cut: _Slice) -> dict[Node, _Slice] | None:
    """A norm or a softmax: any dim but those it computes along."""
    x, along = node.args[:2]
    rank = _rank(node)
    dims = [d % rank for d in ([along] if isinstance(along, int) else range(-len(along), 0))]
    return None if cut.dim in dims else {x: cut}


def _linear(node: Node, cut: _Slice) -> dict[Node, _Slice] | None:
    return None if cut.dim == _rank(node) - 1 else {node.args[0]: cut}  # type: ignore[dict-item]


def _matmul(node: Node, cut: _Slice) -> dict[Node, _Slice] | None:
    """Rows of the left operand, or columns of the right one."""
    left, right = node.args
    rank = _rank(node)
    if _rank(left) != rank or _rank(right) != rank or left is right:
        return None
    side = {rank - 2: left, rank - 1: right}.get(cut.dim)
    return None if side is None else {side: cut}


def _permuted(node: Node, cut: _Slice) -> dict[Node, _Slice]:
    x, rank = node.args[0], _rank(node)
    order = list(range(rank))
    if node.target is aten.transpose.int:
        a, b = (int(d) % rank for d in node.args[1:])  # type: ignore[arg-type]
        order[a], order[b] = b, a
    else:
        order = [d % rank for d in node.args[1]]  # type: ignore[union-attr]
    return {x: replace(cut, dim=order[cut.dim])}  # type: ignore[dict-item]


def _reshaped(node: Node, cut: _Slice) -> dict[Node, _Slice] | None:
    """A dim that the reshape leaves alone, with all before it."""
    x = node.args[0]
    before, after = list(x.meta["val"].shape), list(node.meta["val"].shape)  # type: ignore
    kept = before[: cut.dim + 1] == after[: cut.dim + 1]
    return {x: cut} if kept else None  # type: ignore[dict-item]


_RESHAPES = (aten.reshape.default, aten.view.default)
_RULES: dict[Any, Rule] = {
    **dict.fromkeys(
        [
            *(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor),
            *(aten.relu.default, aten.gelu.default, aten.silu.default, aten.sigmoid.default),
            *(aten.tanh.default, aten.dropout.default, aten.clone.default),
        ],
        _elementwise,
    ),
    **dict.fromkeys(
        [aten.layer_norm.default, aten.rms_norm.default, aten.softmax.int, aten._softmax.default],
        _by_rows,
    ),
    aten.linear.default: _linear,
    aten.matmul.default: _matmul,
    aten.bmm.default: _matmul,
    aten.transpose.int: _permuted,
    aten.permute.default: _permuted,
    **dict.fromkeys(_RESHAPES, _reshaped),
}


def _rule_of(value: Any) -> Rule | None:
    if not isinstance(value, Node) or not _is_static(value):
        return None
    if not all(_is_static(x) for x in value.all_input_nodes):
        return None
    return _RULES.get(value.target)
