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
    Slice,
    arguments,
    bound,
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
    half = order.numel() // 2
    signs = [int(order[0].sign()), int(order[half if kind == "halves" else 1].sign())]
    if kind == "pairs":
        two, by, shifts = (_in_pairs(e, value) for value in (x, cosines, sines))
        kept = [e(aten.mul.Tensor, two[n], by[n]) for n in (0, 1)]
        outs = _turned(e, kept, two, shifts, signs)
        apart = [e(aten.reshape.default, v, [*shape_of(v), 1]) for v in outs]
        return e(aten.reshape.default, e(aten.cat.default, apart, rank_of(x)), shape_of(node))
    return _by_halves(e, x, e(aten.mul.Tensor, x, cosines), _halves(e, sines), signs)


def _by_halves(e: Emitter, x: Node, whole: Node, sines: list[Any], signs: list[int]) -> Node:
    outs = _turned(e, _halves(e, whole), _halves(e, x), sines, signs)
    return e(aten.cat.default, outs, rank_of(x) - 1)


def _turned(
    e: Emitter, kept: list[Node], x: list[Node], sines: list[Any], signs: list[int]
) -> list[Node]:
    """Return each part with the other one, times its sines, added or subtracted."""
    return [
        e(
            aten.add.Tensor if signs[n] > 0 else aten.sub.Tensor,
            kept[n],
            e(aten.mul.Tensor, x[1 - n], sines[n]),
        )
        for n in (0, 1)
    ]


def _halves(e: Emitter, value: Any) -> list[Any]:
    if not isinstance(value, Node):
        return [value, value]
    size = shape_of(value)[-1]
    bounds = ((0, size // 2), (size // 2, size))
    return [e(aten.slice.Tensor, value, rank_of(value) - 1, *b) for b in bounds]


def _in_pairs(e: Emitter, value: Any) -> list[Any]:
    if not isinstance(value, Node):
        return [value, value]
    apart = e(aten.reshape.default, value, [*shape_of(value)[:-1], shape_of(value)[-1] // 2, 2])
    return [e(aten.select.int, apart, rank_of(value), n) for n in (0, 1)]


@finds("a rotation", aten.cat.default, exact=False)
def halves_by_hand(e: Emitter, node: Node) -> Node | None:
    """``cat(x1 * c1 - x2 * s1, x2 * c2 + x1 * s2)``: one product of x with all cosines."""
    parts, dim = bound(node).values()
    if len(parts) != 2 or dim != rank_of(node) - 1 or not is_static(node):
        return None
    found = [_half(part, n) for n, part in enumerate(parts)]
    first, second = found
    if first is None or second is None or first[0] is not second[0]:
        return None
    x = first[0]
    same = shape_of(first[1]) == shape_of(second[1])  # as halves of one tensor are
    if (
        shape_of(x) != shape_of(node)
        or not same
        or shape_of(first[1])[-1:] != [shape_of(x)[-1] // 2]
    ):
        return None
    cosines = e(aten.cat.default, [first[1], second[1]], rank_of(first[1]) - 1)
    whole = e(aten.mul.Tensor, x, cosines)
    return _by_halves(e, x, whole, [first[2], second[2]], [first[3], second[3]])


def _half(value: Any, number: int) -> tuple[Node, Node, Node, int] | None:
    """Return (x, cosines, sines, sign) of one half of a rotation."""
    if not is_call(value, aten.add.Tensor, aten.sub.Tensor) or len(value.args) != 2:
        return None
    ways = [arguments(value)]
    if value.target is aten.add.Tensor:
        ways.append(ways[0][::-1])
    for kept, given in ways:
        for own, cosines in operands(kept, aten.mul.Tensor):
            for other, sines in operands(given, aten.mul.Tensor):
                x = _source(own, number)
                factors = all(isinstance(v, Node) for v in (cosines, sines))
                if x is not None and factors and _source(other, 1 - number) is x:
                    return x, cosines, sines, 1 if value.target is aten.add.Tensor else -1
    return None


def _source(value: Any, number: int) -> Node | None:
    """Return x where `value` is its first (0) or second (1) half."""
    cut = Slice.of(value)
    if cut is None:
        return None
    x = arguments(value)[0]
    size = shape_of(x)[-1]
    bounds = (size // 2 * number, size // 2 * (number + 1))
    halves = cut.dim == rank_of(x) - 1 and size % 2 == 0 and (cut.start, cut.stop) == bounds
    return x if halves else None
