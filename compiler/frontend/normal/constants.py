"""What a graph computes from its constants alone is a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import INNER, arguments, is_pure, is_static, table_name, tensor_of
from tosaic.graph.passes import GraphPass, register_graph_pass
from tosaic.graph.values import attribute, evaluate, free_name
from tosaic.lowering.ops import op_table

aten = torch.ops.aten
_LARGE = 2**20  # elements
_OF_A_SHAPE = frozenset(
    getattr(aten, name).default
    for name in ("new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like")
)


@register_graph_pass
@dataclass(frozen=True)
class Constants(GraphPass):
    """Compute what depends on constants alone, once and for all.

    Position tables, masks and weights that are written as views of parameters become constants of
    the model. A small constant that is broadcast stays small. In training, what depends on a
    parameter goes on depending on it.
    """

    name: ClassVar[str] = "constants"
    training: bool = False

    def run(self, model: GraphModule) -> bool:
        """Fold, from the inputs on."""
        known = self._known(model)
        ends = list(dict.fromkeys(filter(None, (_end(n, known) for n in known))))
        if not ends:
            return False
        values = _values(model, ends)
        for node in ends:
            if isinstance(values[node], Tensor):
                _replace(model, node, values[node])
        return True

    def _known(self, model: GraphModule) -> set[Node]:
        """Return the nodes that depend on constants alone."""
        known: set[Node] = set()
        for node in model.graph.nodes:
            if node.op == "get_attr":
                value = attribute(model, node)
                trained = self.training and isinstance(value, torch.nn.Parameter)
                if isinstance(value, Tensor) and not trained and not _is_written(node):
                    known.add(node)
            elif _is_foldable(node) and _depends_on(node, known):
                known.add(node)
        return known


def _is_written(node: Node) -> bool:
    """Whether training writes to a buffer: in-place ops, and the statistics of batch norms."""
    return any(not is_pure(u.target) or u.target is aten.batch_norm.default for u in node.users)


def _end(node: Node, known: set[Node]) -> Node | None:
    """Return what to compute where something else reads `node`: what it broadcasts, if it does."""
    if node.op == "get_attr" or all(user in known for user in node.users):
        return None
    while node.target is aten.expand.default:
        node = arguments(node)[0]
    return None if node.op == "get_attr" else node


def _depends_on(node: Node, known: set[Node]) -> bool:
    """Whether `node` reads nothing but `known` values, or only the static shape of others."""
    if node.target in _OF_A_SHAPE:
        return all(is_static(n) or n in known for n in node.all_input_nodes)
    return all(n in known for n in node.all_input_nodes)


def _is_foldable(node: Node) -> bool:
    """Whether `node` computes the same every time, and not a large tensor from small ones."""
    if node.op != "call_function" or INNER in node.meta or not is_pure(node.target):
        return False
    if isinstance(node.target, OpOverload) and node.target.namespace not in ("aten", "prims"):
        return False
    return _size(node) <= _LARGE + sum(map(_size, node.all_input_nodes))


def _size(node: Node) -> int:
    tensor = tensor_of(node)
    return tensor.numel() if tensor is not None and is_static(node) else 0


def _values(model: GraphModule, ends: list[Node]) -> dict[Node, Any]:
    needed: set[Node] = set()
    work = list(ends)
    while work:
        node = work.pop()
        if node not in needed:
            needed.add(node)
            work += [] if node.target in _OF_A_SHAPE else node.all_input_nodes
    values: dict[Node, Any] = {}

    def value(node: Node) -> Any:
        if node in values:
            return values[node]
        shown = node.meta["val"]  # only its shape and type are read
        return torch.empty(tuple(shown.shape), dtype=shown.dtype)

    with torch.no_grad():
        for node in sorted(needed):
            if node.op == "get_attr":
                values[node] = attribute(model, node).detach()
            else:
                values[node] = evaluate(node, value)
    return values


def _replace(model: GraphModule, node: Node, value: Tensor) -> None:
    with model.graph.inserting_before(node):
        constant = Emitter(model, node).constant(node.name, value.clone().contiguous())
    node.replace_all_uses_with(constant)


@register_graph_pass
@dataclass(frozen=True)
class OwnWeights(GraphPass):
    """Give each kind of reader of a constant a name of its own for it.

    A weight that several layers read alike (the steps of a recurrent net) stays one. One that is a
    layer's weight and something else too (an embedding's table, a transposed layer's weight) is
    quantised in two ways, so it gets two names; the tensor is the same.
    """

    name: ClassVar[str] = "own-weights"

    def run(self, model: GraphModule) -> bool:
        """Go through the constants; the first kind of reader keeps the name."""
        changed = False
        for held in model.graph.find_nodes(op="get_attr"):
            readers: dict[Any, list[Node]] = {}
            for user in held.users:
                readers.setdefault(_role(user, held), []).append(user)
            for others in list(readers.values())[1:]:
                changed = True
                copy = _copy(model, held)
                for user in others:
                    user.replace_input_with(held, copy)
        return changed


def _role(reader: Node, held: Node) -> Any:
    """Return a value that is equal for readers which may share a quantised constant."""
    entry = op_table().get(table_name(reader))
    places = [n for n, value in enumerate(reader.args) if value is held]
    if entry is None or places != [entry.weight]:
        return None
    return entry.weight_axis, entry.quantized


def _copy(model: GraphModule, held: Node) -> Node:
    value = attribute(model, held)
    name = free_name(model, str(held.target).replace(".", "_"))
    if isinstance(value, torch.nn.Parameter):
        model.register_parameter(name, value)
    else:
        model.register_buffer(name, value)
    with model.graph.inserting_after(held):
        return Emitter(model, held).attribute(name, value)
