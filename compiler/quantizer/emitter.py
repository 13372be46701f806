"""Nodes added to an FX graph with the metadata of the node they stand for."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node

from tosaic.frontend.evaluate import evaluate

aten = torch.ops.aten
_MOST_OPS = 64  # that a constant is computed by


def arguments(node: Node) -> tuple[Any, ...]:
    """Return the positional arguments of `node`; FX's own type of them has a dozen cases."""
    return node.args


def operands(value: Any, target: Any) -> list[tuple[Any, Any]]:
    """Return the operands of `value` in both orders where it is a plain call of binary `target`."""
    if not isinstance(value, Node) or value.target is not target or value.kwargs:
        return []
    x, y = arguments(value)
    return [(x, y), (y, x)]


@dataclass(frozen=True)
class Slice:
    """``x[..., start:stop, ...]`` along `dim`, counted from the front."""

    dim: int
    start: int
    stop: int

    @classmethod
    def of(cls, value: Any) -> Slice | None:
        """Read a call of `aten.slice` with step 1 on a tensor of static shape."""
        if not isinstance(value, Node) or value.target is not aten.slice.Tensor:
            return None
        missing: tuple[Any, ...] = (0, None, None, 1)
        x, *given = arguments(value)
        dim, start, stop, step = (*given, *missing[len(given) :])
        bounds = isinstance(start, int | None) and isinstance(stop, int | None)
        if step != 1 or not bounds or not is_static(x):
            return None
        shape = x.meta["val"].shape
        first, last, _ = slice(start, stop).indices(shape[dim])
        return cls(dim % len(shape), first, last) if last > first else None


def is_static(value: Any) -> bool:
    """Return whether `value` is a node of one tensor without dynamic dims."""
    tensor = value.meta.get("val") if isinstance(value, Node) else None
    return isinstance(tensor, torch.Tensor) and all(isinstance(d, int) for d in tensor.shape)


def _is_pure(target: Any) -> bool:
    schema = getattr(target, "_schema", None)
    tags = getattr(target, "tags", ())
    random = torch.Tag.nondeterministic_seeded in tags
    return schema is not None and not schema.is_mutable and not random


def _constants_above(node: Node) -> list[Node]:
    """Return `node` and all it is computed from, in order; nothing where that is not constant."""
    found: set[Node] = set()
    work = [node]
    while work:
        current = work.pop()
        computed = current.op == "call_function" and _is_pure(current.target)
        if not (computed or current.op == "get_attr") or len(found) > _MOST_OPS:
            return []
        if current not in found:
            found.add(current)
            work += current.all_input_nodes
    return sorted(found)


@dataclass(frozen=True)
class Emitter:
    """Adds nodes in place of `origin`, with its metadata."""

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
        """Return the value of a parameter or buffer, or of what a few ops compute of those alone.

        (What many ops compute is folded before there is an Emitter.)
        """
        values: dict[Node, Any] = {}
        for source in _constants_above(node):
            if source.op == "get_attr":
                values[source] = operator.attrgetter(str(source.target))(self.model).detach()
            else:
                values[source] = evaluate(source, values.__getitem__)
        result = values.get(node)
        return result if isinstance(result, torch.Tensor) else None

    def shape(self, node: Node) -> list[int]:
        """Return the shape of a node's value."""
        return list(node.meta["val"].shape)

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        """Return ``x @ weight.T + bias``."""
        return self(aten.linear.default, x, weight, bias)
