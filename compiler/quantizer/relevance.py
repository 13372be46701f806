"""Which part of a value's range counts for what reads it: the rest must not set a scale.

Softmax sees of each row what is near its largest element; a mask of -1e9 that is added to scores
is as good as any other number that hides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.fx import Node

from tosaic.graph.facts import arguments, bound, is_number, rank_of, table_name
from tosaic.lowering.ops import OpEntry, Trait

aten = torch.ops.aten
# A mask this far below zero hides as well as any smaller number: no 8 bits hold scores that span
# as much with a step that softmax can use.
_HIDES = 256.0


@dataclass(frozen=True)
class Relevance:
    """What counts: values less than `depth` below the largest; of rows along `dim`, the largest.

    None: all. Rows are multiplied by `factor` before softmax reads them.
    """

    depth: float | None = None
    dim: int | None = None
    factor: float = 1.0


ALL = Relevance()


def relevance(value: Node, table: Mapping[str, OpEntry]) -> Relevance:
    """Return what of `value` counts for the ops that read it."""
    seen = _seen(value, table)
    if seen is not None:
        return Relevance(dim=seen[0], factor=seen[1])
    added = {_added_to(user, value, table) for user in value.users}
    factor = added.pop() if len(added) == 1 else None
    return ALL if factor is None else Relevance(depth=_HIDES / factor)


def _seen(value: Node, table: Mapping[str, OpEntry]) -> tuple[int, float] | None:
    """Return (dim, factor) where all that reads `value` is softmax, perhaps of a multiple of it."""
    found = {_softmax_of(user, table) for user in value.users}
    return found.pop() if len(found) == 1 else None


def _softmax_of(node: Node, table: Mapping[str, OpEntry]) -> tuple[int, float] | None:
    """Return the dim along which `node` sees little but the largest elements, and its factor."""
    entry = table.get(table_name(node))
    if entry is not None and Trait.LARGEST_COUNT in entry.traits:
        dim = bound(node).get("dim")
        return (dim % rank_of(node), 1.0) if isinstance(dim, int) else None
    if node.target in (aten.mul.Tensor, aten.div.Tensor):
        x, number = arguments(node)[:2]
        if is_number(number) and number > 0 and isinstance(x, Node):
            seen = _seen(node, table)
            by = number if node.target is aten.mul.Tensor else 1 / number
            return None if seen is None else (seen[0], seen[1] * by)
    return None


def _added_to(node: Node, value: Node, table: Mapping[str, OpEntry]) -> float | None:
    """Return the factor of scores that softmax reads, where `node` adds `value` to them.

    It may also move it to where that is done, or add it to another mask.
    """
    entry = table.get(table_name(node))
    if node.target is aten.add.Tensor and len(arguments(node)) == 2:
        seen = _seen(node, table)
        if seen is not None:
            return seen[1]
    elif entry is None or not entry.moves or arguments(node)[0] is not value:
        return None
    found = {_added_to(user, node, table) for user in node.users}
    return found.pop() if len(found) == 1 else None
