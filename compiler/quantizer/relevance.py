"""Which part of a value's range counts for what reads it: the rest must not set a scale.

Softmax sees of each row what is near its largest element; a mask of -1e9 that is added to scores
is as good as any other number that hides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.fx import Node

from tosaic.graph.facts import arguments, bound, rank_of, table_name
from tosaic.lowering.ops import OpEntry, Trait

aten = torch.ops.aten
# A mask this far below zero hides as well as any smaller number: no 8 bits hold scores that span
# as much with a step that softmax can use.
_HIDES = 256.0


@dataclass(frozen=True)
class Relevance:
    """What counts: values less than `depth` below the largest; of rows along `dim`, the largest.

    None: all.
    """

    depth: float | None = None
    dim: int | None = None


ALL = Relevance()


def relevance(value: Node, table: Mapping[str, OpEntry]) -> Relevance:
    """Return what of `value` counts for the ops that read it."""
    dims = {_softmax_dim(user, table) for user in value.users}
    if len(dims) == 1 and (dim := dims.pop()) is not None:
        return Relevance(dim=dim)
    if value.users and all(_is_added_mask(user, value, table) for user in value.users):
        return Relevance(depth=_HIDES)
    return ALL


def _softmax_dim(node: Node, table: Mapping[str, OpEntry]) -> int | None:
    """Return the dim along which `node` sees little but the largest elements."""
    entry = table.get(table_name(node))
    if entry is None or Trait.LARGEST_COUNT not in entry.traits:
        return None
    dim = bound(node).get("dim")
    return dim % rank_of(node) if isinstance(dim, int) else None


def _is_added_mask(node: Node, value: Node, table: Mapping[str, OpEntry]) -> bool:
    """Whether `node` adds `value` to scores that softmax reads, or moves it there."""
    if node.target is aten.add.Tensor and len(arguments(node)) == 2:
        return bool(node.users) and all(_softmax_dim(u, table) is not None for u in node.users)
    entry = table.get(table_name(node))
    moves = entry is not None and entry.moves and arguments(node)[0] is value
    return moves and bool(node.users) and all(_is_added_mask(u, node, table) for u in node.users)
