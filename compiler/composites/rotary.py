"""Rotary positions without the rotated copy; Su et al., "RoFormer", arXiv:2104.09864.

Models write ``x * cos + cat(-x2, x1) * sin`` with the halves x1, x2 of the last dim. The negation,
the joined copy and its quantisation go where each half is multiplied by its own sines.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from tosaic.composites.composite import finds
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import Slice, arguments, operands

aten = torch.ops.aten


@finds("a rotation", aten.add.Tensor, exact=False)
def rotation(e: Emitter, node: Node) -> Node | None:
    """``x * cos + cat(-x2, x1) * sin``, by halves."""
    found = _rotation(node)
    return None if found is None else _split(e, *found)


def _rotation(node: Node) -> tuple[Node, Node, Node] | None:
    """Return (x * cos, sin, x) where `node` is ``x * cos + cat(-x2, x1) * sin``."""
    for whole, turned in operands(node, aten.add.Tensor):
        for joined, sines in operands(turned, aten.mul.Tensor):
            x = _rotated(joined)
            if x is not None and _spans(node, whole, sines, x):
                return whole, sines, x
    return None


def _rotated(joined: Any) -> Node | None:
    """Return x where `joined` is ``cat((-x[..., half:], x[..., :half]), -1)``."""
    if not isinstance(joined, Node) or joined.target is not aten.cat.default:
        return None
    parts, *dim = arguments(joined)
    if len(parts) != 2 or dim not in ([-1], [_rank(joined) - 1]):
        return None
    negative, first = parts
    if negative.target is not aten.neg.default:
        return None
    low, high = _half(first), _half(arguments(negative)[0])
    if low is None or high is None or low[0] is not high[0]:
        return None
    return low[0] if (low[1], high[1]) == (0, 1) else None


def _half(value: Any) -> tuple[Node, int] | None:
    """Return (x, 0 or 1) where `value` is the first or second half of x along its last dim."""
    cut = Slice.of(value)
    if cut is None:
        return None
    x = arguments(value)[0]
    size = int(x.meta["val"].shape[-1])
    if cut.dim != _rank(x) - 1 or size % 2:
        return None
    halves = [(0, size // 2), (size // 2, size)]
    return (x, halves.index((cut.start, cut.stop))) if (cut.start, cut.stop) in halves else None


def _rank(node: Node) -> int:
    return int(node.meta["val"].dim())


def _spans(node: Node, *values: Any) -> bool:
    """Whether all have the last dim of `node`, so that halves of them belong together."""
    size = node.meta["val"].shape[-1]
    return all(isinstance(v, Node) and v.meta["val"].shape[-1] == size for v in values)


def _split(e: Emitter, whole: Node, sines: Node, x: Node) -> Node:
    half = e.shape(whole)[-1] // 2

    def halves(value: Node) -> list[Node]:
        known = e.value(value)
        if known is not None:
            return [e.constant("_sines", part.contiguous()) for part in known.chunk(2, -1)]
        return [e(aten.slice.Tensor, value, -1, start, start + half) for start in (0, half)]

    kept, given, by = halves(whole), halves(x), halves(sines)
    first = e(aten.sub.Tensor, kept[0], e(aten.mul.Tensor, given[1], by[0]))
    second = e(aten.add.Tensor, kept[1], e(aten.mul.Tensor, given[0], by[1]))
    return e(aten.cat.default, [first, second], -1)
