"""How far a rounded model's outputs are from the float one's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.utils import _pytree as pytree

from tosaic.graph.values import attribute
from tosaic.quantizer.rounding import Simulation, Values, call


class Judge:
    """Compares the outputs of a prepared model with those it has as a float model, on `items`."""

    def __init__(self, prepared: GraphModule, items: Sequence[tuple[Tensor, ...]]) -> None:
        self._model, self._items = prepared, items
        run = Simulation(prepared, rounds=False)
        self._real = [float_leaves(run.run(*item)) for item in items]
        columns = zip(*self._real, strict=True)
        self._variances = [torch.cat([x.flatten() for x in c]).double().var() for c in columns]

    def error_of(self, rounded: GraphModule) -> float:
        """Return the squared error of the outputs of `rounded`, over their variance."""
        run = Simulation(rounded, rounds=True)
        pairs = zip(self._items, self._real, strict=True)
        return sum(self._distance(float_leaves(run.run(*item)), real) for item, real in pairs)

    def error(self, layer: Node, weight: Tensor, shift: Tensor, given: Sequence[Values]) -> float:
        """Return the same for another `weight` of `layer` and `shift` added to its channels.

        `given` are the values of the nodes before it, for each item; behind it nothing is rounded.
        """
        nodes = list(self._model.graph.nodes)
        behind = nodes[nodes.index(layer) + 1 :]
        total = 0.0
        for known, real in zip(given, self._real, strict=True):
            values = dict(known)
            values[layer.all_input_nodes[1]] = weight
            result = call(layer, values.__getitem__)
            dims = weight.ndim - 2  # of the image behind the channels
            values[layer] = result + shift.reshape(-1, *[1] * dims)
            total += self._distance(float_leaves(self._outputs(behind, values)), real)
        return total

    def _outputs(self, nodes: list[Node], values: Values) -> Any:
        for node in nodes:
            if node.op == "output":
                return torch.fx.map_arg(node.args[0], values.__getitem__)
            if node.op == "get_attr":
                values[node] = attribute(self._model, node)
            elif node.op == "call_module":
                values[node] = values[node.all_input_nodes[0]]
            elif node.op == "call_function":
                values[node] = call(node, values.__getitem__)
        raise AssertionError("a graph ends in its output")

    def _distance(self, given: list[Tensor], real: list[Tensor]) -> float:
        pairs = zip(given, real, self._variances, strict=True)
        tiny = torch.finfo(torch.float32).tiny
        return sum(float((a - b).square().mean() / v.clamp(min=tiny)) for a, b, v in pairs)


def float_leaves(outputs: Any) -> list[Tensor]:
    """Return the float tensors of a model's outputs."""
    leaves = pytree.tree_leaves(outputs)
    return [x for x in leaves if isinstance(x, Tensor) and x.is_floating_point()]
