"""Batch norms become part of the layers before them, before those are rounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.fx import Node

from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import arguments, bound
from tosaic.graph.passes import register_graph_pass
from tosaic.graph.rules import Rule, RulePass, rule

aten = torch.ops.aten
_TRANSPOSED = (
    *(aten.conv_transpose1d.default, aten.conv_transpose2d.input, aten.conv_transpose3d.input),
)
_LAYERS = (
    *(aten.conv1d.default, aten.conv1d.padding, aten.conv2d.default, aten.conv2d.padding),
    *(aten.conv3d.default, aten.conv3d.padding, aten.linear.default, *_TRANSPOSED),
)


@rule(aten.batch_norm.default)
def fold(e: Emitter, node: Node) -> Node | None:
    """The norm of a layer's result, which nothing else reads: scaled weights, another bias."""
    layer: Node = arguments(node)[0]
    if layer.target not in _LAYERS or len(layer.users) != 1 or bound(node)["training"]:
        return None
    if layer.target is aten.linear.default and layer.meta["val"].dim() != 2:
        return None  # the norm is over another dim
    weight = e.value(arguments(layer)[1])
    bias = _bias(e, layer)
    factors = _factors(e, node)
    if weight is None or bias is None or factors is None:
        return None
    scale, shift = factors
    with e.model.graph.inserting_before(layer):
        fresh = e.constant(f"{layer.name}_weight", _scaled(layer, weight, scale))
        moved = e.constant(f"{layer.name}_bias", bias * scale + shift)
    x, _, _, *settings = (*arguments(layer), None)[: max(3, len(arguments(layer)))]
    layer.args = (x, fresh, moved, *settings)  # recipes and reports know the layer, not its norm
    return layer


def _bias(e: Emitter, layer: Node) -> Tensor | float | None:
    """Return the constant bias of a layer, 0 where it has none, None where it is computed."""
    given = bound(layer)["bias"]
    return 0.0 if given is None else e.value(given)


def _factors(e: Emitter, norm: Node) -> tuple[Tensor, Tensor] | None:
    """Return (scale, shift) of each channel."""
    _, weight, bias, mean, variance, _, _, epsilon, _ = bound(norm).values()
    values = [None if v is None else e.value(v) for v in (weight, bias, mean, variance)]
    if any(
        v is None and given is not None
        for v, given in zip(values, (weight, bias, mean, variance), strict=True)
    ):
        return None
    gain, offset, centre, spread = values
    if centre is None or spread is None:
        return None
    scale = torch.rsqrt(spread + epsilon) * (1.0 if gain is None else gain)
    return scale, (0.0 if offset is None else offset) - centre * scale


def _scaled(layer: Node, weight: Tensor, scale: Tensor) -> Tensor:
    """Multiply a weight by output channel; of transposed layers that is dim 1, in each group."""
    ones = [1] * (weight.dim() - 2)
    if layer.target not in _TRANSPOSED:
        return weight * scale.reshape(-1, 1, *ones)
    groups: Any = bound(layer)["groups"]
    parts = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    return (parts * scale.reshape(groups, 1, -1, *ones)).reshape(weight.shape)


@register_graph_pass
@dataclass(frozen=True)
class FoldBatchNorm(RulePass):
    """Fold batch norms into the convolutions, transposed convolutions and linear layers before."""

    name: ClassVar[str] = "fold-batch-norm"
    rules: ClassVar[tuple[Rule, ...]] = (fold,)
