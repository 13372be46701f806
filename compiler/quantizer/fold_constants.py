"""What a graph computes from its constants alone is computed before it is quantised.

Position tables, attention masks and bucketed distances are often written in the forward function.
Left there, they would be observed and rounded at every step, and integer targets would have to
compute them.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch.fx import GraphModule, Node

from tosaic.frontend.evaluate import evaluate

aten = torch.ops.aten
_LARGE = 2**20  # elements
_OF_A_SHAPE = frozenset(
    getattr(aten, name).default
    for name in (
        *("new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like"),
        *("new_empty", "empty_like"),
    )
)


def fold_constants(model: GraphModule) -> GraphModule:
    """Replace what `model` computes from constants, and parts of them, by constants."""
    known = _constants(model)
    values: dict[Node, Any] = {}
    with torch.no_grad():
        for node in model.graph.nodes:
            if node in known:
                values[node] = _value(model, node, values)
    for node in known:
        if _is_worthwhile(node, known) and isinstance(values[node], torch.Tensor):
            _replace(model, node, values[node])
    # A write to memory that nothing reads any more is no side effect.
    model.graph.eliminate_dead_code(lambda node: node not in known and node.is_impure())
    model.recompile()
    return model


def _constants(model: GraphModule) -> dict[Node, None]:
    """Return the nodes that depend on constants alone, in order."""
    place = {node: n for n, node in enumerate(model.graph.nodes)}
    known: dict[Node, None] = {}
    for node in place:
        is_constant = node.op == "get_attr" and isinstance(_attribute(model, node), torch.Tensor)
        if is_constant or (_is_foldable(node) and _depends_on(node, known)):
            known[node] = None
    written = [node for node in place if _writes(node)]
    tainted = {
        _memory(node) for node in written if node not in known or _memory(node).op == "get_attr"
    }
    # What is read before the last write to its memory is not what it is in the end.
    last = {_memory(node): place[node] for node in written}
    for node in known:
        end = last.get(_memory(node), -1)
        if any(user not in known and place[user] < end for user in node.users):
            tainted.add(_memory(node))
    while True:
        left = {
            node: None
            for node in known
            if _memory(node) not in tainted and (node.op == "get_attr" or _depends_on(node, known))
        }
        if len(left) == len(known):
            return left
        known = left


def _depends_on(node: Node, known: dict[Node, None]) -> bool:
    """Whether `node` reads nothing but `known` values, or only the shape of others."""
    return node.target in _OF_A_SHAPE or all(n in known for n in node.all_input_nodes)


def _is_foldable(node: Node) -> bool:
    """Whether `node` computes the same every time, and not a large tensor from small ones."""
    if node.op != "call_function" or _size(node) > _LARGE + sum(map(_size, node.all_input_nodes)):
        return False
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return getattr(target, "__name__", "") == "getitem"
    return target.namespace == "aten" and torch.Tag.nondeterministic_seeded not in target.tags


def _size(node: Node) -> int:
    value = node.meta.get("val")
    return value.numel() if isinstance(value, torch.Tensor) else 0


def _writes(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return node.op == "call_function" and schema is not None and bool(schema.is_mutable)


def _is_view(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    if getattr(node.target, "__name__", "") == "getitem":
        return True
    return schema is not None and any(r.alias_info is not None for r in schema.returns)


def _memory(node: Node) -> Node:
    """Return the node that made the memory that `node` shows."""
    while node.op == "call_function" and node.all_input_nodes and _is_view(node):
        node = node.all_input_nodes[0]
    return node


def _is_worthwhile(node: Node, known: dict[Node, None]) -> bool:
    """Whether `node` is read by what is computed, and is more than a parameter seen otherwise."""
    memory = _memory(node)
    is_own = memory.op != "get_attr" or _size(node) < _size(memory)
    return is_own and any(user not in known for user in node.users)


def _attribute(model: GraphModule, node: Node) -> Any:
    value: Any = model
    for name in str(node.target).split("."):
        value = getattr(value, name)
    return value


def _value(model: GraphModule, node: Node, values: dict[Node, Any]) -> Any:
    if node.op == "get_attr":
        return _attribute(model, node)

    def value(n: Node) -> Any:
        if n in values:
            return values[n]
        known = n.meta["val"]  # only its shape and type are read
        return torch.empty(tuple(known.shape), dtype=known.dtype)

    return evaluate(node, value)


def _replace(model: GraphModule, node: Node, value: torch.Tensor) -> None:
    name = next(f"_folded_{n}" for n in itertools.count() if not hasattr(model, f"_folded_{n}"))
    model.register_buffer(name, value.detach().clone().contiguous())
    with model.graph.inserting_before(node):
        constant = model.graph.get_attr(name)
    constant.meta.update(node.meta)
    node.replace_all_uses_with(constant)
