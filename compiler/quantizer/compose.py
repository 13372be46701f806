"""Norms written out by hand become the one op they are, so that they are quantised as a unit.

Published Llama code, for one, has its RMS norm as five operators; quantised one by one, the square
and the root leave few of 8 bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node

from tosaic.quantizer.emitter import Emitter, arguments, operands

aten = torch.ops.aten
_TINY = 1e-6  # an epsilon that no quantised norm comes near


@dataclass(frozen=True)
class _Norm:
    """``x / sqrt(mean(x * x) + epsilon)`` over the last dim."""

    x: Node
    epsilon: float
    gain: float = 1.0


def compose(model: GraphModule) -> GraphModule:
    """Replace RMS norms and L2 normalisations over the last dim in `model` by `aten.rms_norm`."""
    for node in list(model.graph.nodes):
        norm = _root_mean_square(node) or _unit_length(node)
        if norm is not None:
            _replace(model, node, norm)
    model.graph.eliminate_dead_code()
    model.recompile()
    return model


def _replace(model: GraphModule, node: Node, norm: _Norm) -> None:
    size = norm.x.meta["val"].shape[-1]
    weight, last = _weight_after(node, size) if norm.gain == 1 else (None, node)
    e = Emitter(model, last)
    with model.graph.inserting_before(last):
        if norm.gain != 1:
            weight = e.constant("_gain", torch.full((size,), norm.gain))
        new = e(aten.rms_norm.default, norm.x, [size], weight, norm.epsilon)
    last.replace_all_uses_with(new)


def _weight_after(node: Node, size: int) -> tuple[Node | None, Node]:
    """Return (weight, the product with it) where that is all `node` is read for."""
    for user in node.users if len(node.users) == 1 else ():
        for product, other in operands(user, aten.mul.Tensor):
            known = product is node and isinstance(other, Node) and other.op == "get_attr"
            if known and tuple(other.meta["val"].shape) == (size,):
                return other, user
    return None, node


def _root_mean_square(node: Node) -> _Norm | None:
    """``x * rsqrt(mean(x * x, -1, keepdim) + epsilon)``."""
    for x, root in operands(node, aten.mul.Tensor):
        total = _argument(root, aten.rsqrt.default)
        for mean, epsilon in operands(total, aten.add.Tensor):
            if not isinstance(epsilon, int | float) or not _is_over_last_dim(mean):
                continue
            if isinstance(x, Node) and _squared(arguments(mean)[0]) is x and _is_float(x):
                return _Norm(x, float(epsilon))
    return None


def _unit_length(node: Node) -> _Norm | None:
    """``x / max(norm(x, 2, -1, keepdim), epsilon)``, as `F.normalize` writes it."""
    if node.target is not aten.div.Tensor or len(arguments(node)) != 2:
        return None
    x, length = arguments(node)
    if isinstance(length, Node) and length.target is aten.expand_as.default:
        length = arguments(length)[0]
    norm = _argument(length, aten.clamp_min.default)
    if norm is None or norm.target is not aten.linalg_vector_norm.default or not _is_float(x):
        return None
    source, order, dims, keep = (*arguments(norm), 2, None, False)[:4]
    epsilon = arguments(length)[1]
    if source is not x or order != 2 or not keep or not _is_last(dims, x) or epsilon > _TINY:
        return None
    size = x.meta["val"].shape[-1]
    return _Norm(x, float(epsilon) ** 2 / size, 1 / math.sqrt(size))


def _is_over_last_dim(mean: Any) -> bool:
    if not isinstance(mean, Node) or mean.target is not aten.mean.dim:
        return False
    source, dims, keep = (*arguments(mean), False)[:3]
    return bool(keep) and _is_last(dims, source)


def _is_last(dims: Any, x: Any) -> bool:
    return list(dims or []) in ([-1], [x.meta["val"].dim() - 1])


def _squared(value: Any) -> Any:
    """Return x where `value` is its square."""
    if _argument(value, aten.pow.Tensor_Scalar) is not None and arguments(value)[1] == 2:
        return arguments(value)[0]
    return next((x for x, y in operands(value, aten.mul.Tensor) if x is y), None)


def _argument(value: Any, target: Any) -> Any:
    """Return the first argument of a call of `target`, else None."""
    return arguments(value)[0] if isinstance(value, Node) and value.target is target else None


def _is_float(value: Any) -> bool:
    tensor = value.meta.get("val") if isinstance(value, Node) else None
    return isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float32
