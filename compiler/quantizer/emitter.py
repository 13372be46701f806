"""Nodes added to an FX graph with the metadata of the node they stand for."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node

aten = torch.ops.aten


def operands(value: Any, target: Any) -> list[tuple[Any, Any]]:
    """Return the operands of `value` in both orders where it is a plain call of binary `target`."""
    if not isinstance(value, Node) or value.target is not target or value.kwargs:
        return []
    x, y = value.args
    return [(x, y), (y, x)]


@dataclass(frozen=True)
class Emitter:
    """Adds nodes in place of `origin`, with its metadata; also the `Algebra` of tosaic's rnn."""

    model: GraphModule
    origin: Node

    def __call__(self, target: Any, *args: Any, **kwargs: Any) -> Node:
        """Add a call of ATen op `target`; arguments may hold nodes."""
        node = self.model.graph.call_function(target, args, kwargs)
        inherited = self.origin.meta.items()
        node.meta.update({k: v for k, v in inherited if k not in ("val", "tensor_meta")})
        values, named = torch.fx.map_arg((args, kwargs), lambda n: n.meta["val"])
        node.meta["val"] = target(*values, **named)
        return node

    def constant(self, name: str, value: torch.Tensor) -> Node:
        """Add a buffer of the model."""
        unique = next(f"{name}_{n}" for n in range(10**9) if not hasattr(self.model, f"{name}_{n}"))
        self.model.register_buffer(unique, value)
        node = self.model.graph.get_attr(unique)
        mode = getattr(self.origin.all_input_nodes[0].meta["val"], "fake_mode", None)
        node.meta["val"] = value if mode is None else mode.from_tensor(value, static_shapes=True)
        return node

    def value(self, node: Node) -> torch.Tensor | None:
        """Return the value of a parameter or buffer, None for what the model computes."""
        if node.op != "get_attr":
            return None
        value: torch.Tensor = operator.attrgetter(str(node.target))(self.model)
        return value.detach()

    def shape(self, node: Node) -> list[int]:
        """Return the shape of a node's value."""
        return list(node.meta["val"].shape)

    # --- Algebra -------------------------------------------------------------------------------

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        """Return ``x @ weight.T + bias``."""
        return self(aten.linear.default, x, weight, bias)

    def function(self, name: str, x: Node) -> Node:
        """Return "sigmoid", "tanh" or "relu" of `x`."""
        return self(getattr(aten, name).default, x)

    def arithmetic(self, name: str, x: Node, y: Node) -> Node:
        """Return the "add", "sub" or "mul" of two values."""
        return self(getattr(aten, name).Tensor, x, y)

    def chunks(self, x: Node, count: int) -> list[Node]:
        """Return the last dim in `count` equal parts."""
        size = self.shape(x)[-1] // count
        return [self(aten.slice.Tensor, x, -1, n * size, (n + 1) * size) for n in range(count)]

    def rows(self, x: Node) -> list[Node]:
        """Return the items along the first dim."""
        return [self(aten.select.int, x, 0, n) for n in range(self.shape(x)[0])]

    def stack(self, values: Sequence[Node]) -> Node:
        """Return `values` along a new first dim."""
        return self(aten.stack.default, list(values), 0)

    def join(self, values: Sequence[Node]) -> Node:
        """Return `values` joined along the last dim."""
        return self(aten.cat.default, list(values), -1)

    def swapped(self, x: Node) -> Node:
        """Return `x` with its first two dims swapped."""
        return self(aten.transpose.int, x, 0, 1)
