"""Nodes added to an FX graph with the metadata of the node they stand for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Node

from tosaic.graph.values import as_fake, fake_mode, free_name, known_value

aten = torch.ops.aten
_OWN = ("val", "tensor_meta")  # metadata that a node in another's place does not share


@dataclass(frozen=True)
class Emitter:
    """Adds nodes in place of `origin`, with its metadata; `made` are those added, in order."""

    model: GraphModule
    origin: Node
    made: list[Node] = field(default_factory=list)

    @property
    def _mode(self) -> FakeTensorMode:
        value = self.origin.meta.get("val")
        first = value[0] if isinstance(value, list | tuple) and value else value
        return getattr(first, "fake_mode", None) or fake_mode(self.model.graph)

    def __call__(self, target: Any, *args: Any, **kwargs: Any) -> Node:
        """Add a call of ATen op `target`; arguments may hold nodes."""
        node = self.model.graph.call_function(target, args, kwargs)
        node.meta.update({k: v for k, v in self.origin.meta.items() if k not in _OWN})
        values, named = torch.fx.map_arg((args, kwargs), lambda n: n.meta["val"])
        with self._mode:
            node.meta["val"] = target(*values, **named)
        self.made.append(node)
        return node

    def constant(self, name: str, value: Tensor) -> Node:
        """Add a buffer of the model."""
        unique = free_name(self.model, name)
        self.model.register_buffer(unique, value)
        return self.attribute(unique, value)

    def attribute(self, name: str, value: Tensor) -> Node:
        """Add a read of what the model has at `name`, which is `value`."""
        node = self.model.graph.get_attr(name)
        node.meta["val"] = as_fake(value, self._mode)
        self.made.append(node)
        return node

    def value(self, node: Any) -> Tensor | None:
        """Return what `node` is, where that depends on constants alone."""
        return known_value(self.model, node)

    def shape(self, node: Node) -> list[int]:
        """Return the shape of a node's value."""
        return list(node.meta["val"].shape)

    def sizes(self, node: Node) -> list[Any]:
        """Return the dims of a node's value as arguments: ints, and nodes for dynamic ones."""
        return [
            d if isinstance(d, int) else self(aten.sym_size.int, node, n)
            for n, d in enumerate(node.meta["val"].shape)
        ]

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        """Return ``x @ weight.T + bias``."""
        return self(aten.linear.default, x, weight, bias)
