"""Softmax of masked scores becomes one op, so that "never" is no number a range must hold."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from tosaic.quantizer.emitter import Emitter, arguments, is_static, operands

aten = torch.ops.aten
# What stands for "never" in scores; any more is a bias of them.
NEVER = -1e4


def mask_softmax(model: GraphModule) -> GraphModule:
    """Replace softmax over ``masked_fill``, ``where`` or the sum with a mask in `model`.

    Scores filled with -1e4 or less where a mask says so would, as a tensor of its own, leave the
    scores a few of 256 steps, or none where the fill is infinite.
    """
    changed = False
    for node in list(model.graph.nodes):
        if node.target is aten.softmax.int and is_static(node):
            with model.graph.inserting_before(node):
                changed |= _replaced(Emitter(model, node), node)
    if changed:
        model.graph.eliminate_dead_code()
        model.recompile()
    return model


def _replaced(e: Emitter, node: Node) -> bool:
    scores, dim, *rest = arguments(node)
    if rest and rest[0] is not None:
        return False
    masked = _filled(e, scores) or _chosen(e, scores) or _added(e, scores)
    if masked is None:
        return False
    x, never = masked
    shape = e.shape(node)
    if e.shape(x) != shape or x.meta["val"].dtype != torch.float32:
        return False
    whole = e(aten.expand.default, never, shape)
    new = e(aten._masked_softmax.default, x, whole, dim % len(shape), 2)
    name = node.name
    node.replace_all_uses_with(new)
    node.graph.erase_node(node)
    new._rename(name)
    return True


def _filled(e: Emitter, value: Any) -> tuple[Node, Node] | None:
    """``masked_fill(x, mask, never)``."""
    if value.target not in (aten.masked_fill.Scalar, aten.masked_fill.Tensor):
        return None
    x, mask, fill = arguments(value)
    return (x, mask) if _is_never(e, fill) else None


def _chosen(e: Emitter, value: Any) -> tuple[Node, Node] | None:
    """``where(mask, x, never)`` or ``where(mask, never, x)``."""
    if value.target not in (aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf):
        return None
    mask, x, y = arguments(value)
    if _is_never(e, x):
        return y, mask
    return (x, e(aten.logical_not.default, mask)) if _is_never(e, y) else None


def _added(e: Emitter, value: Any) -> tuple[Node, Node] | None:
    """``x + mask`` with a constant mask of zeros and "never"."""
    for x, mask in operands(value, aten.add.Tensor):
        known = e.value(mask) if isinstance(mask, Node) else None
        if known is not None and bool(((known == 0) | (known <= NEVER)).all()):
            return x, e.constant("_softmax_mask", known <= NEVER)
    return None


def _is_never(e: Emitter, value: Any) -> bool:
    if isinstance(value, int | float):
        return value <= NEVER
    known = e.value(value)
    return known is not None and known.numel() == 1 and known.item() <= NEVER
