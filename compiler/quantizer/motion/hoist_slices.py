"""Slices move up to the inputs of what is computed row by row.

A classifier reads one token of the last block: what the block makes of all others is not needed,
and neither should its range count for the quantisation of the one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch.fx import GraphModule, Node

from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import Slice, arguments, is_static
from tosaic.graph.passes import GraphPass, register_graph_pass

aten = torch.ops.aten


# (producer, slice of its result) -> the slice of each of its operands, None: as it is; or None
# where the result's slice cannot be computed from slices.
Rule = Callable[[Node, Slice], "dict[Node, Slice] | None"]


@register_graph_pass
@dataclass(frozen=True)
class HoistSlices(GraphPass):
    """Move every slice of a part of a dim as far up as it goes.

    Through elementwise ops, norms and softmax over other dims, rows or columns of products, and
    what moves elements; where several ops read a tensor, only if all of them slice it alike.
    """

    name: ClassVar[str] = "hoist-slices"

    def run(self, model: GraphModule) -> bool:
        """Move slices until none moves any more."""
        changed = _selects_as_slices(model)
        again = True
        while again:
            again = False
            for node in reversed(list(model.graph.nodes)):
                cut = None if node._erased else Slice.of(node)
                if cut is not None and _hoisted(model, node, cut):
                    again = changed = True
        return changed


def _selects_as_slices(model: GraphModule) -> bool:
    """Write ``select(x)`` of computed `x` as a select of a slice, which moves like any other."""
    changed = False
    for node in list(model.graph.nodes):
        if node.target is not aten.select.int or not is_static(arguments(node)[0]):
            continue
        x, dim, index = arguments(node)
        size = x.meta["val"].shape[dim]
        if size == 1 or _rule_of(x) is None:
            continue
        start = index % size
        with model.graph.inserting_before(node):
            cut = Emitter(model, x)(aten.slice.Tensor, x, dim, start, start + 1)
        node.args = (cut, dim, 0)
        changed = True
    return changed


def _hoisted(model: GraphModule, node: Node, cut: Slice) -> bool:
    producer = arguments(node)[0]
    readers = [n for n in producer.users if n is not node]
    if any(Slice.of(reader) != cut for reader in readers):
        return False
    rule = _rule_of(producer)
    wanted = None if rule is None else rule(producer, cut)
    if wanted is None:
        return False
    with model.graph.inserting_before(producer):
        e = Emitter(model, producer)
        known = {
            x: e(aten.slice.Tensor, x, part.dim, part.start, part.stop)
            for x, part in wanted.items()
        }
        args = torch.fx.map_arg(arguments(producer), lambda n: known.get(n, n))
        if producer.target is aten.reshape.default:
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


def _elementwise(node: Node, cut: Slice) -> dict[Node, Slice]:
    """Operands broadcast from the right; a dim of 1 stays."""
    out = {}
    for x in node.all_input_nodes:
        dim = cut.dim - (_rank(node) - _rank(x))
        if dim >= 0 and x.meta["val"].shape[dim] > 1:
            out[x] = replace(cut, dim=dim)
    return out


def _by_rows(node: Node, cut: Slice) -> dict[Node, Slice] | None:
    """A norm or a softmax: any dim but those it computes along."""
    x, along = arguments(node)[:2]
    rank = _rank(node)
    dims = [d % rank for d in ([along] if isinstance(along, int) else range(-len(along), 0))]
    return None if cut.dim in dims else {x: cut}


def _linear(node: Node, cut: Slice) -> dict[Node, Slice] | None:
    return None if cut.dim == _rank(node) - 1 else {arguments(node)[0]: cut}


def _matmul(node: Node, cut: Slice) -> dict[Node, Slice] | None:
    """Rows of the left operand, or columns of the right one."""
    left, right = arguments(node)
    rank = _rank(node)
    if _rank(left) != rank or _rank(right) != rank or left is right:
        return None
    side = {rank - 2: left, rank - 1: right}.get(cut.dim)
    return None if side is None else {side: cut}


def _permuted(node: Node, cut: Slice) -> dict[Node, Slice]:
    x, order = arguments(node)
    return {x: replace(cut, dim=order[cut.dim])}


def _reshaped(node: Node, cut: Slice) -> dict[Node, Slice] | None:
    """A dim that the reshape leaves alone, with all before it."""
    x = arguments(node)[0]
    before, after = list(x.meta["val"].shape), list(node.meta["val"].shape)
    kept = before[: cut.dim + 1] == after[: cut.dim + 1]
    return {x: cut} if kept else None


_RULES: dict[Any, Rule] = {
    **dict.fromkeys(
        [
            *(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor),
            *(aten.relu.default, aten.gelu.default, aten.silu.default, aten.sigmoid.default),
            aten.tanh.default,
        ],
        _elementwise,
    ),
    **dict.fromkeys(
        [aten.layer_norm.default, aten.rms_norm.default, aten.softmax.int],
        _by_rows,
    ),
    aten.linear.default: _linear,
    aten.matmul.default: _matmul,
    aten.permute.default: _permuted,
    aten.reshape.default: _reshaped,
}


def _rule_of(value: Any) -> Rule | None:
    if not isinstance(value, Node) or not is_static(value):
        return None
    if not all(is_static(x) for x in value.all_input_nodes):
        return None
    return _RULES.get(value.target)
