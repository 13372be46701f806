"""What nodes are at run time: attributes of the module, calls evaluated, constants known."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import Graph, GraphModule, Node, map_arg

from tosaic.graph.facts import is_pure

_MOST_OPS = 64  # that a constant is computed by


def attribute(model: torch.nn.Module, node: Node) -> Any:
    """Return what a get_attr node of `model` gets."""
    value: Any = model
    for name in str(node.target).split("."):
        value = getattr(value, name)
    return value


def replace_attribute(model: torch.nn.Module, node: Node, value: Tensor) -> None:
    """Give a get_attr node another value; the tensor it had may be the user's own."""
    path, _, name = str(node.target).rpartition(".")
    owner = model.get_submodule(path)
    setattr(owner, name, torch.nn.Parameter(value) if name in owner._parameters else value)


def free_name(model: torch.nn.Module, name: str) -> str:
    """Return `name` with the first number behind it under which `model` has nothing."""
    return next(n for k in itertools.count() if not hasattr(model, n := f"{name}_{k}"))


def fake_mode(graph: Graph) -> FakeTensorMode:
    """Return the mode that the fake tensors of `graph` belong to."""
    mode = detect_fake_mode([n.meta.get("val") for n in graph.nodes])
    assert mode is not None, "a graph without fake tensors"
    return mode


def as_fake(value: Tensor, mode: FakeTensorMode) -> Tensor:
    """Return the fake tensor that stands for a constant of the model."""
    return mode.from_tensor(value, static_shapes=True)


def evaluate(call: Node, value: Callable[[Node], Any]) -> Any:
    """Return what a ``call_function`` node gives where `value` tells what its operands are."""
    args, kwargs = map_arg((call.args, call.kwargs), value)
    return cast(Callable[..., Any], call.target)(*args, **kwargs)


def infer_value(node: Node) -> None:
    """Give a call the fake tensor it computes from those of its inputs, whose mode is active."""
    node.meta["val"] = evaluate(node, lambda n: n.meta["val"])


def known_value(model: GraphModule, node: Any) -> Tensor | None:
    """Return the value of a constant of `model`, or of what a few ops compute of constants alone.

    (What many ops compute is folded before: `tosaic.frontend.normal.constants`.)
    """
    if not isinstance(node, Node):
        return None
    values: dict[Node, Any] = {}
    for source in _constants_above(node):
        if source.op == "get_attr":
            held = attribute(model, source)
            if not isinstance(held, Tensor):
                return None
            values[source] = held.detach()
        else:
            values[source] = evaluate(source, values.__getitem__)
    result = values.get(node)
    return result if isinstance(result, Tensor) else None


def _constants_above(node: Node) -> list[Node]:
    """Return `node` and all it is computed from, in order; nothing where that is not constant."""
    found: set[Node] = set()
    work = [node]
    while work:
        current = work.pop()
        computed = current.op == "call_function" and is_pure(current.target)
        if not (computed or current.op == "get_attr") or len(found) > _MOST_OPS:
            return []
        if current not in found:
            found.add(current)
            work += current.all_input_nodes
    return sorted(found)
