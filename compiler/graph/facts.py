"""What a node says of itself: its arguments, its tensor, whether it is pure."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Node

aten = torch.ops.aten
INNER = "tosaic_inner"  # metadata of a node inside of a composite: it stays as it is
_MOST_OPS_OF_A_CONSTANT = 8


def table_name(node: Node) -> str:
    """Return the op-table name of a call, in-place forms as their functional ones; "" if none."""
    schema = getattr(node.target, "_schema", None)
    if node.op != "call_function" or schema is None:
        return ""
    name = "torch." + str(schema.name).replace("::", ".")
    name = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    return f"{name}.{schema.overload_name}" if schema.overload_name else name


def arguments(node: Node) -> tuple[Any, ...]:
    """Return the positional arguments of `node`; FX's own type of them has a dozen cases."""
    return node.args


def bound(node: Node) -> dict[str, Any]:
    """Return every argument of a call of an ATen op by its name in the schema, defaults too."""
    assert isinstance(node.target, OpOverload)
    given = dict(node.kwargs)
    out: dict[str, Any] = {}
    for n, argument in enumerate(node.target._schema.arguments):
        if n < len(node.args):
            out[argument.name] = node.args[n]
        elif argument.name in given:
            out[argument.name] = given[argument.name]
        else:
            out[argument.name] = argument.default_value if argument.has_default_value() else None
    return out


def operands(value: Any, target: Any) -> list[tuple[Any, Any]]:
    """Return the operands of `value` in both orders where it is a plain call of binary `target`."""
    if not isinstance(value, Node) or value.target is not target or value.kwargs:
        return []
    x, y = value.args
    return [(x, y), (y, x)]


def is_call(value: Any, *targets: Any) -> bool:
    """Return whether `value` is a call of one of `targets`."""
    return isinstance(value, Node) and value.target in targets


def tensor_of(value: Any) -> Tensor | None:
    """Return the fake tensor of a node with one tensor as its result."""
    tensor = value.meta.get("val") if isinstance(value, Node) else None
    return tensor if isinstance(tensor, Tensor) else None


def shape_of(node: Node) -> list[Any]:
    """Return the dims of a node's tensor: ints, or symbolic ones."""
    return list(node.meta["val"].shape)


def rank_of(node: Node) -> int:
    """Return how many dims a node's tensor has."""
    return int(node.meta["val"].dim())


def is_static(value: Any) -> bool:
    """Return whether `value` is a node of one tensor without dynamic dims."""
    tensor = tensor_of(value)
    return tensor is not None and all(isinstance(d, int) for d in tensor.shape)


def is_floating(value: Any) -> bool:
    """Return whether `value` is a node of one tensor of floats."""
    tensor = tensor_of(value)
    return tensor is not None and tensor.is_floating_point()


def is_bool(value: Any) -> bool:
    """Return whether `value` is a node of one tensor of truth values."""
    tensor = tensor_of(value)
    return tensor is not None and tensor.dtype == torch.bool


def is_number(value: Any) -> bool:
    """Return whether `value` is a Python number that is no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_pure(target: Any) -> bool:
    """Return whether calls of `target` give the same for the same operands, changing nothing."""
    if target is operator.getitem:
        return True
    schema = getattr(target, "_schema", None)
    tags = getattr(target, "tags", ())
    random = torch.Tag.nondeterministic_seeded in tags
    return schema is not None and not schema.is_mutable and not random


def writes(node: Node) -> list[Any]:
    """Return the operands that a call writes to."""
    if not isinstance(node.target, OpOverload) or not node.target._schema.is_mutable:
        return []
    return [
        node.args[n] if n < len(node.args) else node.kwargs.get(argument.name)
        for n, argument in enumerate(node.target._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]


def only_user(node: Node) -> Node | None:
    """Return what reads `node` where that is one node."""
    return next(iter(node.users)) if len(node.users) == 1 else None


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
        x, dim, start, stop, step = bound(value).values()
        bounds = isinstance(start, int | None) and isinstance(stop, int | None)
        if step != 1 or not bounds or not is_static(x):
            return None
        shape = x.meta["val"].shape
        first, last, _ = slice(start, stop).indices(shape[dim])
        return cls(dim % len(shape), first, last) if last > first else None


def calls(graph: torch.fx.Graph) -> Iterator[Node]:
    """Yield the calls of `graph` in order."""
    return (node for node in graph.nodes if node.op == "call_function")


def is_constant(value: Any) -> bool:
    """Return whether `value` is a constant of the model, or computed from constants by few ops."""
    if not isinstance(value, Node):
        return False
    work, seen = [value], 0
    while work:
        node = work.pop()
        seen += 1
        computed = node.op == "call_function" and is_pure(node.target) and node.all_input_nodes
        if seen > _MOST_OPS_OF_A_CONSTANT or not (node.op == "get_attr" or computed):
            return False
        work += node.all_input_nodes if computed else []
    return True
