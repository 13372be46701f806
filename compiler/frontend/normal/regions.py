"""Control flow and other ops that hold graphs of their own, taken apart into one flat graph.

An NPU has no branches, and a quantiser sees the ops of one graph. So both branches of a `cond` are
computed and its predicate selects, loops whose number of turns is known are unrolled, and what only
wraps a graph (`torch.no_grad()` inside of a model, say) is unwrapped. This comes before PT2E and
the import, hence on the FX graph.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node, map_arg
from torch.utils._pytree import tree_leaves

from tosaic.errors import InputError
from tosaic.graph.frames import place_of, user_frame
from tosaic.graph.passes import GraphPass, register_graph_pass
from tosaic.graph.values import as_fake, attribute, evaluate, fake_mode, free_name, infer_value

aten = torch.ops.aten

_MOST_TURNS = 1024
_MOST_ELEMENTS = 64  # of a tensor whose value is followed to know when a loop ends
_UNKNOWN = object()


@register_graph_pass
@dataclass(frozen=True)
class Regions(GraphPass):
    """Take control flow and other ops that hold graphs of their own apart, into one flat graph.

    Both branches of a `cond` are computed and its predicate selects; `while_loop`, `map` and `scan`
    are unrolled, for which the number of turns has to be known; what only wraps a graph is
    unwrapped. A loop whose turns depend on data, and higher-order ops of another kind, are refused.
    """

    name: ClassVar[str] = "regions"

    def run(self, model: GraphModule) -> bool:
        """Replace each higher-order op by its inner graphs."""
        found = [node for node in model.graph.nodes if _is_higher_order(node)]
        flattener = _Flattener(model) if found else None
        for node in found:
            assert flattener is not None
            flattener.replace(node)
        return bool(found)


def without_autocast(program: ExportedProgram) -> ExportedProgram:
    """Return `program` with the casts that enabled autocast regions stand for: traced anew."""
    if any(map(_casts, program.graph.nodes)):
        # Only tracing tells what autocast does.
        traced: ExportedProgram = program.run_decompositions({})
        return traced
    return program


def _is_higher_order(node: Node) -> bool:
    return isinstance(node.target, HigherOrderOperator)


def _casts(node: Node) -> bool:
    """Return whether `node` is ``with torch.autocast(...)``, enabled."""
    return str(node.target) == "wrap_with_autocast" and bool(node.args[2])


class _Flattener:
    """A graph in which one op after another is replaced by its inner graphs."""

    def __init__(self, model: GraphModule) -> None:
        self._module = model
        self.graph = model.graph
        self._mode = fake_mode(self.graph)
        self._known: dict[Node, Any] = {}
        for node in self.graph.find_nodes(op="get_attr"):
            self._note_value(node)

    def replace(self, node: Node) -> None:
        """Put the ops that `node` stands for in its place."""
        results = self._expand(node)
        for user in list(node.users):
            number = user.args[1]
            assert user.target is operator.getitem
            assert isinstance(number, int)
            user.replace_all_uses_with(results[number])
            self.graph.erase_node(user)
        self.graph.erase_node(node)

    def _expand(self, node: Node) -> list[Any]:
        """Insert the ops that `node` stands for before it and return its results."""
        handler = _HANDLERS.get(str(node.target))
        if handler is None:
            raise InputError(
                f"'{node.name}'{place_of(node)} is the higher-order op {node.target}, which holds "
                f"a graph of its own. These can be compiled: {', '.join(_HANDLERS)}. Write it with "
                "ops, or leave this part out of the model."
            )
        with self.graph.inserting_before(node), self._mode:
            return handler(self, node)

    def inline(self, node: Node, module: GraphModule, operands: Sequence[Any]) -> list[Any]:
        """Copy the ops of `module`, a graph of `node`, to the place of insertion."""
        inputs = module.graph.find_nodes(op="placeholder")
        values: dict[Node, Any] = dict(zip(inputs, operands, strict=True))
        for inner in module.graph.nodes:
            if inner.op == "output":
                results = map_arg(inner.args[0], values.__getitem__)
                return list(results) if isinstance(results, list | tuple) else [results]
            if inner.op == "get_attr":
                values[inner] = self._attribute(node, inner, module)
            elif inner.op == "call_function":
                values[inner] = self._copied(node, inner, values)
        raise AssertionError("a graph without an output")

    def _copied(self, node: Node, inner: Node, values: dict[Node, Any]) -> Any:
        if inner.target is operator.getitem:
            source = values[inner.args[0]]  # type: ignore[index]
            if isinstance(source, list):
                return source[inner.args[1]]  # type: ignore[index]
        args, kwargs = map_arg((inner.args, inner.kwargs), values.__getitem__)
        numeric = not any(isinstance(x, Node) for x in tree_leaves((args, kwargs)))
        if numeric and getattr(inner.target, "__module__", "") == "_operator":
            return evaluate(inner, values.__getitem__)
        copied = self.graph.node_copy(inner, values.__getitem__)
        if user_frame(copied.meta.get("stack_trace") or "") is None:
            copied.meta["stack_trace"] = node.meta.get("stack_trace")
        if _is_higher_order(copied):
            results = self._expand(copied)
            self.graph.erase_node(copied)
            return results
        infer_value(copied)  # what it holds are symbols and fake tensors of the inner graph
        return copied

    def call(self, node: Node, target: Any, *args: Any) -> Node:
        """Insert a call in the place of `node`."""
        created = self.graph.call_function(target, args)
        names = ("stack_trace", "nn_module_stack", "source_fn_stack")
        created.meta = {k: node.meta[k] for k in names if k in node.meta}
        infer_value(created)
        return created

    def submodule(self, node: Any) -> GraphModule:
        """Return the graph that `node` gets."""
        module = getattr(self._module, str(node.target))
        assert isinstance(module, GraphModule)
        return module

    def known(self, value: Any) -> Any:
        """Return what `value` is where it is no node or depends on constants only."""
        if not isinstance(value, Node):
            return value
        fresh: set[Node] = set()
        work = [value]
        while work:
            node = work.pop()
            if node not in self._known and node not in fresh:
                fresh.add(node)
                work += node.all_input_nodes
        for node in sorted(fresh):
            self._known[node] = self._evaluated(node)
        return self._known[value]

    def _evaluated(self, node: Node) -> Any:
        """Return what `node` is, its inputs being known or _UNKNOWN."""
        if node.op == "get_attr":
            return _small(attribute(self._module, node))
        unknown = any(self._known[operand] is _UNKNOWN for operand in node.all_input_nodes)
        if unknown or node.op != "call_function" or _is_higher_order(node):
            return _UNKNOWN
        return _small(evaluate(node, self._known.__getitem__))

    def _attribute(self, node: Node, inner: Node, module: GraphModule) -> Node:
        """Take over what `inner` gets from `module`: a tensor, or a graph."""
        name = free_name(self._module, f"{node.name}_{str(inner.target).replace('.', '_')}")
        value = attribute(module, inner)
        if isinstance(value, torch.Tensor):
            self._module.register_buffer(name, value)
        else:
            setattr(self._module, name, value)
        created = self.graph.get_attr(name)
        self._note_value(created)
        return created

    def _note_value(self, node: Node) -> None:
        value = attribute(self._module, node)
        if isinstance(value, torch.Tensor):
            node.meta["val"] = as_fake(value, self._mode)


class _Known(Interpreter):
    """Computes what depends on known inputs only; the rest is _UNKNOWN."""

    def run_node(self, n: Node) -> Any:
        """Run `n` where all it reads is known."""
        if n.op == "call_function":
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            leaves = tree_leaves((args, kwargs))
            if any(v is _UNKNOWN for v in leaves) or _is_higher_order(n):
                return _UNKNOWN
        return _small(super().run_node(n))


def _small(value: Any) -> Any:
    large = isinstance(value, torch.Tensor) and value.numel() > _MOST_ELEMENTS
    return _UNKNOWN if large else value


def _cond(flattener: _Flattener, node: Node) -> list[Any]:
    predicate, yes, no, operands = node.args
    taken = [flattener.inline(node, flattener.submodule(g), operands) for g in (yes, no)]  # type: ignore[arg-type]
    if isinstance(predicate, bool):
        return taken[0] if predicate else taken[1]
    if not isinstance(predicate, Node) or not isinstance(predicate.meta["val"], torch.Tensor):
        raise InputError(
            f"'{node.name}'{place_of(node)} branches on a dynamic size. Sizes are fixed when a "
            "program is compiled: export the model with the sizes it is to have."
        )
    if predicate.meta["val"].ndim:
        predicate = flattener.call(node, aten.reshape.default, predicate, [])
    return [
        a if a is b else flattener.call(node, aten.where.self, predicate, a, b)
        for a, b in zip(*taken, strict=True)
    ]


def _while_loop(flattener: _Flattener, node: Node) -> list[Any]:
    goes_on, body, carried, others = node.args
    condition, step = flattener.submodule(goes_on), flattener.submodule(body)
    state, more = list(carried), list(others)  # type: ignore[arg-type]
    known, known_more = (list(map(flattener.known, values)) for values in (state, more))
    turns = 0
    while (again := _goes_on(condition, [*known, *known_more])) and again is not _UNKNOWN:
        if turns == _MOST_TURNS:
            raise InputError(
                f"The loop '{node.name}'{place_of(node)} takes more than {_MOST_TURNS} turns, and "
                "every turn becomes part of the program. Compute more in a turn."
            )
        state = flattener.inline(node, step, [*state, *more])
        known = list(_Known(step).run(*known, *known_more))
        state = [k if isinstance(k, int) else s for s, k in zip(state, known, strict=True)]
        turns += 1
    if again is _UNKNOWN:
        raise InputError(
            f"How often the loop '{node.name}'{place_of(node)} turns depends on the data, and a "
            "program has no loops. Give it a fixed number of turns, and keep the result of the "
            "right one with torch.where."
        )
    return state


def _goes_on(condition: GraphModule, values: list[Any]) -> Any:
    return tree_leaves(_Known(condition).run(*values))[0]


def _map(flattener: _Flattener, node: Node) -> list[Any]:
    graph, mapped, others = node.args
    results = [
        flattener.inline(node, flattener.submodule(graph), [*items, *others])  # type: ignore[misc]
        for items in _items(flattener, node, mapped)
    ]
    return _stacked(flattener, node, results)


def _scan(flattener: _Flattener, node: Node) -> list[Any]:
    graph, initial, scanned, others = node.args
    state, results = list(initial), []  # type: ignore[arg-type]
    for items in _items(flattener, node, scanned):
        module = flattener.submodule(graph)
        both = flattener.inline(node, module, [*state, *items, *others])  # type: ignore[misc]
        state = both[: len(state)]
        results.append(both[len(state) :])
    return [*state, *_stacked(flattener, node, results)]


def _items(flattener: _Flattener, node: Node, tensors: Any) -> list[list[Node]]:
    """Return the slices along dim 0 of `tensors`, together."""
    (count,) = {t.meta["val"].shape[0] for t in tensors}
    if not isinstance(count, int):
        raise InputError(
            f"'{node.name}'{place_of(node)} goes along a dim of dynamic size. Export the model "
            "with the size it is to have."
        )
    return [
        [flattener.call(node, aten.select.int, t, 0, number) for t in tensors]
        for number in range(count)
    ]


def _stacked(flattener: _Flattener, node: Node, results: list[list[Any]]) -> list[Any]:
    columns = zip(*results, strict=True)
    return [flattener.call(node, aten.stack.default, list(column)) for column in columns]


def _wrapped(position: int) -> Callable[[_Flattener, Node], list[Any]]:
    """Return the handler of an op that runs its argument `position` on those after it."""

    def handler(flattener: _Flattener, node: Node) -> list[Any]:
        graph, *operands = node.args[position:]
        return flattener.inline(node, flattener.submodule(graph), operands)

    return handler


_HANDLERS: dict[str, Callable[[_Flattener, Node], list[Any]]] = {
    "cond": _cond,
    "while_loop": _while_loop,
    "map_impl": _map,
    "scan": _scan,
    "wrap_with_set_grad_enabled": _wrapped(1),
    "wrap_with_autocast": _wrapped(4),
}
