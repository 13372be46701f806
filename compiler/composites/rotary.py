"""Rotary positions without the rotated copy; Su et al., "RoFormer", arXiv:2104.09864.

Models write ``x * cos + turned(x) * sin``, where the turned copy exchanges the halves of the last
dim, or its neighbours, and changes the sign of one of each pair. Which elements it exchanges is
found by turning numbers, so that it does not matter how it is written. The copy, its negation and
its quantisation go away: each part is multiplied by its own sines.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from tosaic.composites.composite import finds
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import (
    is_call,
    is_static,
    operands,
    rank_of,
    shape_of,
    tensor_of,
)
from tosaic.graph.values import evaluate

aten = torch.ops.aten
_MOST_OPS = 12  # that a turned copy is made by
_TURNING = (
    *(aten.neg.default, aten.cat.default, aten.slice.Tensor, aten.select.int, aten.roll.default),
    *(aten.reshape.default, aten.permute.default, aten.flip.default, aten.expand.default),
)


@finds("a rotation", aten.add.Tensor, exact=False)
def rotation(e: Emitter, node: Node) -> Node | None:
    """``x * cos + turned(x) * sin``, by parts."""
    if not is_static(node):
        return None
    for whole, turned in operands(node, aten.add.Tensor):
        for x, cosines in operands(whole, aten.mul.Tensor):
            for copy, sines in operands(turned, aten.mul.Tensor):
                if not _fits(node, x, copy, cosines, sines):
                    continue
                order = _order(x, copy)
                parts = None if order is None else _parts(order)
                if parts is not None and order is not None:
                    return _rotated(e, node, x, cosines, sines, order, parts)
    return None


def _fits(node: Node, x: Any, copy: Any, *factors: Any) -> bool:
    shape = shape_of(node)
    if tensor_of(x) is None or tensor_of(copy) is None or x is copy:
        return False
    last = all(
        not isinstance(f, Node) or (rank_of(f) > 0 and shape_of(f)[-1] == shape[-1])
        for f in factors
    )
    return shape_of(x) == shape_of(copy) == shape and is_call(copy, *_TURNING) and last


def _order(x: Node, copy: Node) -> Tensor | None:
    """Return where in the last dim of `x` each element of `copy` is from, counted from 1.

    It is negative where the sign changes; None where `copy` is no such exchange.
    """
    above: set[Node] = set()
    work = [copy]
    while work:
        node = work.pop()
        if node is x or node in above:
            continue
        if node.target not in _TURNING or len(above) >= _MOST_OPS:
            return None
        above.add(node)
        work += node.all_input_nodes
    size = shape_of(x)[-1]
    values: dict[Node, Any] = {x: torch.arange(1, size + 1).expand(shape_of(x))}
    for node in sorted(above):
        values[node] = evaluate(node, values.__getitem__)
    rows = values[copy].reshape(-1, size)
    same = bool((rows == rows[0]).all())
    exchanged = same and rows[0].abs().sort().values.tolist() == list(range(1, size + 1))
    return rows[0] if exchanged else None


def _parts(order: Tensor) -> str | None:
    """Return "halves" or "pairs": what an order exchanges, one sign for each part."""
    size = order.numel()
    places, signs = order.abs() - 1, order.sign()
    if size % 2:
        return None
    numbers = torch.arange(size)
    half = size // 2
    if torch.equal(places, (numbers + half) % size):
        parts = signs.reshape(2, half)
        kind = "halves"
    elif torch.equal(places, numbers ^ 1):
        parts = signs.reshape(half, 2).mT
        kind = "pairs"
    else:
        return None
    return kind if bool((parts == parts[:, :1]).all()) else None


def _rotated(
    e: Emitter, node: Node, x: Node, cosines: Any, sines: Any, order: Tensor, kind: str
) -> Node:
    size = order.numel()
    half = size // 2

    def part(value: Any, number: int) -> Any:
        if not isinstance(value, Node):
            return value
        if kind == "halves":
            return e(
                aten.slice.Tensor, value, rank_of(value) - 1, number * half, number * half + half
            )
        apart = e(aten.reshape.default, value, [*shape_of(value)[:-1], half, 2])
        return e(aten.select.int, apart, rank_of(value), number)

    outs = []
    for number in (0, 1):
        sign = int(order[number * half if kind == "halves" else number].sign())
        kept = e(aten.mul.Tensor, part(x, number), part(cosines, number))
        given = e(aten.mul.Tensor, part(x, 1 - number), part(sines, number))
        outs.append(e(aten.add.Tensor if sign > 0 else aten.sub.Tensor, kept, given))
    if kind == "halves":
        return e(aten.cat.default, outs, rank_of(x) - 1)
    apart = [e(aten.reshape.default, v, [*shape_of(v), 1]) for v in outs]
    return e(aten.reshape.default, e(aten.cat.default, apart, rank_of(x)), shape_of(node))
