"""Where scales per channel can move between layers without changing what a model computes.

A seam starts at a layer or a norm whose output has channels. It follows them through ops that scale
with what they are given (``f(s * x) = s * f(x)`` for positive s) or only move data, and ends at the
layers that read them. Which channel an element belongs to is found by running the ops that move
data on channel numbers.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from tosaic.graph.facts import bound, is_static
from tosaic.graph.values import attribute, evaluate, replace_attribute
from tosaic.quantizer.fit_weights import Layer

aten = torch.ops.aten

_SCALING = {
    aten.relu.default,
    aten.leaky_relu.default,
    aten.prelu.default,
    aten.neg.default,
    aten.abs.default,
}
_MOVING = {
    aten.reshape.default,
    aten.permute.default,
    aten.expand.default,
    aten.slice.Tensor,
    aten.select.int,
}
_POOLS = {
    aten.max_pool2d.default,
    aten.avg_pool2d.default,
    aten.adaptive_avg_pool2d.default,
}
_PRODUCTS = {aten.mul.Tensor, aten.matmul.default, aten.bmm.default}
_NORMS = (aten.layer_norm.default, aten.rms_norm.default)


@dataclass(frozen=True)
class Seam:
    """Channels from the op that writes them to the layers that read them.

    Attributes:
        producer: The layer or norm; `parameters` are its weight and perhaps bias (get_attr nodes).
        count: Number of channels.
        path: The values that have the channels, in order, the producer's own first; for each the
            channel of every element.
        readers: The layers that read them; for each the channel of every input channel.
    """

    producer: Node
    parameters: tuple[Node, ...]
    count: int
    path: dict[Node, Any]
    readers: dict[Node, Tensor]

    @property
    def has_product(self) -> bool:
        """Whether the channels go through a product with another activation."""
        return any(node.target in _PRODUCTS for node in self.path)

    def divided(self, value: Tensor, factors: Tensor) -> Tensor:
        """Return the producer's weight or bias with each channel divided by its factor."""
        return value / factors.reshape(-1, *[1] * (value.ndim - 1))

    def multiplied(self, reader: Node, weight: Tensor, factors: Tensor) -> Tensor:
        """Return a reader's weight with each input channel multiplied by its factor."""
        inside = weight.shape[1]
        groups = self.readers[reader].numel() // inside
        apart = weight.reshape(groups, -1, *weight.shape[1:])
        factor = factors[self.readers[reader]].reshape(groups, 1, inside, *[1] * (weight.ndim - 2))
        return (apart * factor).reshape(weight.shape)

    def apply(self, model: GraphModule, factors: Tensor) -> None:
        """Divide the channels by `factors` where they are written, multiply where they are read."""
        for node in self.parameters:
            replace_attribute(model, node, self.divided(attribute(model, node).detach(), factors))
        for reader in self.readers:
            weight = weight_of(reader)
            value = attribute(model, weight).detach()
            replace_attribute(model, weight, self.multiplied(reader, value, factors))


def weight_of(layer: Node) -> Node:
    """Return the get_attr node of a layer's weight, behind its observer."""
    return layer.args[1].args[0]  # type: ignore[union-attr, return-value]


def is_layer(node: Node) -> bool:
    """Whether the producer of a seam is a layer, and no norm."""
    return node.target not in _NORMS


def layer_seams(model: GraphModule, layers: Iterable[Layer]) -> list[Seam]:
    """Return the seams from one of `layers`, of a prepared model, to others of them."""
    known = {layer.node for layer in layers}
    return _found(_from(model, node, _layer_parameters(node), known) for node in known)


def norm_seams(model: GraphModule, layers: Iterable[Layer]) -> list[Seam]:
    """Return the seams from a layer norm or RMS norm to some of `layers`."""
    known = {layer.node for layer in layers}
    return _found(
        _from(model, node, [a for a in node.args[2:4] if isinstance(a, Node)], known)
        for node in model.graph.nodes
        if node.target in _NORMS
        and len(node.args[1]) == 1
        and isinstance(bound(node)["weight"], Node)
    )


def _found(seams: Iterable[Seam | None]) -> list[Seam]:
    return [seam for seam in seams if seam is not None]


def _layer_parameters(node: Node) -> list[Node]:
    bias = node.args[2] if len(node.args) > 2 else None
    return [weight_of(node), *([bias] if isinstance(bias, Node) else [])]


def _from(
    model: GraphModule, producer: Node, parameters: list[Node], layers: set[Node]
) -> Seam | None:
    if not is_static(producer) or any(p.op != "get_attr" or len(p.users) > 1 for p in parameters):
        return None
    shape = producer.meta["val"].shape
    weight = attribute(model, parameters[0])
    count = weight.shape[0]
    behind = max(weight.ndim - 2, 0)  # the dims of an image
    numbers = torch.arange(count).reshape(-1, *[1] * behind).expand(shape)
    order = {node: number for number, node in enumerate(model.graph.nodes)}
    path: dict[Node, Any] = {producer: numbers}
    readers: dict[Node, Tensor] = {}
    waiting = [(order[user], user) for user in producer.users]
    heapq.heapify(waiting)
    while waiting:
        _, node = heapq.heappop(waiting)
        if node in path or node in readers:
            continue
        sources = [source for source in node.all_input_nodes if source in path]
        if node in layers and sources == [node.args[0]]:
            columns = _columns(path[sources[0]], attribute(model, weight_of(node)).ndim - 2)
            if columns is None:
                return None
            readers[node] = columns
            continue
        carried = _carried(node, sources[0], path[sources[0]]) if len(sources) == 1 else None
        if carried is None:
            return None
        path[node] = carried
        for user in node.users:
            heapq.heappush(waiting, (order[user], user))
    return Seam(producer, tuple(parameters), count, path, readers) if readers else None


def _carried(node: Node, source: Node, numbers: Any) -> Any:
    """Return the channels of what `node` makes of `source` with these; None where they mix."""
    if node.op == "call_module" or node.target in _SCALING:
        return numbers
    alone = node.all_input_nodes == [source]
    if node.target in _MOVING and alone:
        return evaluate(node, lambda _: numbers)
    if not is_static(node) or not isinstance(numbers, Tensor) or node.args.count(source) != 1:
        return None
    shape = node.meta["val"].shape
    if node.target in _POOLS:
        return _alike(numbers, [-2, -1], shape)
    if node.target is aten.mean.dim:
        dims = list(node.args[1])  # type: ignore[arg-type]
        kept = _alike(numbers, dims, None)
        keeps_dims = len(node.args) > 2 and node.args[2]
        return kept if kept is None or keeps_dims else kept.squeeze(tuple(dims))
    if node.target is aten.mul.Tensor:
        return numbers.expand(shape) if numbers.ndim <= len(shape) else None
    if node.target is aten.div.Tensor:
        return numbers if alone else None
    if node.target in _PRODUCTS and node.args[1] is source and numbers.ndim == len(shape) > 1:
        return _alike(numbers, [-2], shape)
    return None


def _alike(numbers: Tensor, dims: list[int], shape: Any) -> Tensor | None:
    """Return one number for each run along `dims`, in `shape`; None where they differ."""
    first = numbers
    for dim in dims:
        first = first.narrow(dim, 0, 1)
    if not bool((numbers == first).all()):
        return None
    return first if shape is None else first.expand(shape)


def _columns(numbers: Any, image: int) -> Tensor | None:
    """Return the channel of each input channel of a layer with that many image dims."""
    if not isinstance(numbers, Tensor) or numbers.ndim < image + 1:
        return None
    rows = numbers.movedim(-1 - image, 0).flatten(1) if numbers.ndim > 1 else numbers[:, None]
    return rows[:, 0].clone() if bool((rows == rows[:, :1]).all()) else None
