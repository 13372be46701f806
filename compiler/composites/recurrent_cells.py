"""Cells of recurrent nets spelled out; Hochreiter and Schmidhuber, 1997; Cho et al., 2014.

What one step of a hand-written net computes from its gates is brought to the form that
`tosaic.composites.recurrent` gives PyTorch's own nets: int16 between matrix products, one table.
Gates are parts of sums, or sums of their own, of what the input and the state give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

from tosaic.composites.composite import finds
from tosaic.composites.recurrent import Recurrent, of_all_items, projected
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import (
    INNER,
    Slice,
    arguments,
    bound,
    is_call,
    is_constant,
    is_static,
    operands,
    rank_of,
    shape_of,
)
from tosaic.graph.match import Pattern, Tensor, add, call, either, first_match, mul, sub
from tosaic.lowering.torch_to_tosa.rnn import Cell

aten = torch.ops.aten


def _sigmoid(x: Pattern) -> Pattern:
    return call(aten.sigmoid.default, x)


def _tanh(x: Pattern) -> Pattern:
    return call(aten.tanh.default, x)


_MEMORY = add(
    mul(_sigmoid(Tensor("f")), Tensor("c")),
    mul(_sigmoid(Tensor("i")), _tanh(Tensor("g"))),
)
_LSTM = mul(_sigmoid(Tensor("o")), _tanh(Tensor("memory")))
_UPDATE = _sigmoid(Tensor("z"))
_NEW = _tanh(Tensor("n"))
_H = Tensor("h")
_GRU = either(
    add(mul(call(aten.rsub.Scalar, _UPDATE, 1), _NEW), mul(_UPDATE, _H)),
    add(_NEW, mul(_UPDATE, sub(_H, _NEW))),
    sub(_NEW, mul(_UPDATE, sub(_NEW, _H))),
)
_CANDIDATE = add(Tensor("given"), mul(_sigmoid(Tensor("r")), Tensor("kept")))


@dataclass(frozen=True)
class _Gates:
    """What the input and the state give for all gates, along the last dim; None is nothing."""

    given: Node
    kept: Node | None


@finds("an LSTM cell", aten.mul.Tensor, exact=False)
def lstm_cell(e: Emitter, node: Node) -> Node | None:
    """``sigmoid(o) * tanh(sigmoid(f) * c + sigmoid(i) * tanh(g))``."""
    outer = first_match(_LSTM, node)
    inner = None if outer is None else first_match(_MEMORY, outer["memory"])
    if outer is None or inner is None or not is_static(node):
        return None
    memory = outer["memory"]
    gates = _together(e, [inner["i"], inner["f"], inner["g"], outer["o"]])
    others = [user for user in memory.users if user.target is not aten.tanh.default]
    if gates is None or any(user < node for user in others):
        return None
    ops, weight = _ops(e, gates)
    state = _state_of(e, inner["c"])
    cell = Cell("lstm", weight, weight, None, None)
    out, fresh = cell._lstm(ops, _recomputed(ops, gates.given), _state(ops, gates.kept), state)
    for user in others:
        user.replace_input_with(memory, fresh)
    return out


@finds("a GRU cell", aten.add.Tensor, aten.sub.Tensor, exact=False)
def gru_cell(e: Emitter, node: Node) -> Node | None:
    """``(1 - sigmoid(z)) * tanh(x_n + sigmoid(r) * h_n) + sigmoid(z) * h``."""
    outer = first_match(_GRU, node)
    inner = None if outer is None else first_match(_CANDIDATE, outer["n"])
    if outer is None or inner is None or not is_static(node):
        return None
    gates = _together(e, [inner["r"], outer["z"]], (inner["given"], inner["kept"]))
    if gates is None or gates.kept is None:
        return None
    ops, weight = _ops(e, gates)
    state = _state_of(e, outer["h"])
    cell = Cell("gru", weight, weight, None, None)
    out, _ = cell._gru(ops, _recomputed(ops, gates.given), _state(ops, gates.kept), state)
    return out


def _state_of(e: Emitter, value: Node) -> Node | None:
    """Return the state of a net, None where it is zeros."""
    known = e.value(value)
    return None if known is not None and not bool(known.any()) else value


def _ops(e: Emitter, gates: _Gates) -> tuple[Recurrent, Node]:
    """Return the algebra, and the weight whose name tells the steps of one net."""
    for part in (gates.kept, gates.given):
        if is_call(part, aten.linear.default):
            return Recurrent(e.model, e.origin, e.made), arguments(part)[1]  # type: ignore[arg-type]
    return Recurrent(e.model, e.origin, e.made), gates.given


def _recomputed(ops: Recurrent, value: Node) -> Node:
    """Return a layer's result once more, computed as the layers of recurrent nets are."""
    if is_call(value, aten.linear.default):
        return projected(ops, *bound(value).values())
    if is_call(value, aten.select.int) and is_call(arguments(value)[0], aten.linear.default):
        whole, *place = arguments(value)
        return ops(aten.select.int, of_all_items(ops, *bound(whole).values()), *place)
    return value


def _state(ops: Recurrent, kept: Node | None) -> Node | None:
    return None if kept is None else _recomputed(ops, kept)


def _together(
    e: Emitter, sums: Sequence[Node], last: tuple[Node, Node] | None = None
) -> _Gates | None:
    """Return the operands of all gates joined, in the order of the gates.

    `sums` are what functions of gates read; `last` are the two operands of a gate that are kept
    apart, as in a GRU.
    """
    pairs: list[tuple[Any, Any]] = [_operands(value) for value in sums]
    if last is not None:
        first = _source(last[0])
        pairs = [(y, x) if y is not None and _source(y) is first else (x, y) for x, y in pairs]
        pairs.append(last)
    elif all(kept is None for _, kept in pairs):
        whole = _joined(e, [given for given, _ in pairs])
        return None if whole is None else _apart(e, whole)
    if any(kept is None for _, kept in pairs):
        return None
    ways = ([p[0] for p in pairs], [p[1] for p in pairs])
    if last is None and _is_state(ways[0][0]) and not _is_state(ways[1][0]):
        ways = (ways[1], ways[0])
    given, kept = (_joined(e, list(way)) for way in ways)
    return None if given is None or kept is None else _Gates(given, kept)


def _apart(e: Emitter, whole: Node) -> _Gates:
    """Return what input and state give, where one layer reads both joined."""
    if not is_call(whole, aten.linear.default):
        return _Gates(whole, None)
    joined, weight, bias = bound(whole).values()
    if not is_call(joined, aten.cat.default) or not is_constant(weight):
        return _Gates(whole, None)
    parts, dim = bound(joined).values()
    if len(parts) != 2 or dim != rank_of(joined) - 1:
        return _Gates(whole, None)
    size = shape_of(parts[0])[-1]
    first = _once(e, aten.slice.Tensor, weight, 1, 0, size)
    second = _once(e, aten.slice.Tensor, weight, 1, size, shape_of(weight)[1])
    given = e.linear(parts[0], first, bias)
    state = _state_of(e, parts[1])
    return _Gates(given, None if state is None else e.linear(state, second, None))


def _operands(value: Node) -> tuple[Node, Node | None]:
    """Return (what the input gives, what the state gives) of the sum that a gate reads."""
    cut = Slice.of(value)
    source = arguments(value)[0] if cut is not None else value
    for x, y in operands(source, aten.add.Tensor)[:1]:
        if isinstance(x, Node) and isinstance(y, Node) and rank_of(x) == rank_of(y):
            return (x, y) if cut is None else (_Part(x, cut), _Part(y, cut))  # type: ignore[return-value]
    return value, None


@dataclass(frozen=True)
class _Part:
    """A part of a value that is not in the graph by itself."""

    whole: Node
    cut: Slice


def _source(value: Any) -> Any:
    """Return what a value is a part of."""
    part = _part(value)
    return value if part is None else part.whole


def _is_state(value: Any) -> bool:
    """Whether a value is a constant, as what a state of zeros gives is."""
    whole = value.whole if isinstance(value, _Part) else value
    return is_constant(whole)


def _joined(e: Emitter, parts: Sequence[Any]) -> Node | None:
    """Return parts joined along the last dim: what they are slices of, or one layer for all."""
    cuts = [_part(p) for p in parts]
    if all(c is not None for c in cuts):
        return _whole(e, [c for c in cuts if c is not None])
    if all(isinstance(p, Node) and is_call(p, aten.linear.default) for p in parts):
        return _one_layer(e, list(parts))
    if all(isinstance(p, Node) and is_call(p, aten.select.int) for p in parts):
        return _one_item(e, list(parts))
    if all(isinstance(p, Node) and is_constant(p) for p in parts):
        return e(aten.cat.default, list(parts), rank_of(parts[0]) - 1)
    return None


def _part(value: Any) -> _Part | None:
    if isinstance(value, _Part):
        return value
    cut = Slice.of(value)
    return None if cut is None else _Part(arguments(value)[0], cut)


def _whole(e: Emitter, parts: Sequence[_Part]) -> Node | None:
    """Return the one value that all are parts of, with the parts in their order."""
    whole, rank = parts[0].whole, rank_of(parts[0].whole)
    size = shape_of(whole)[-1]
    if any(p.whole is not whole or p.cut.dim != rank - 1 for p in parts):
        return None
    bounds = [(p.cut.start, p.cut.stop) for p in parts]
    if sorted(bounds) == bounds and bounds[0][0] == 0 and bounds[-1][1] == size:
        return whole
    if not is_call(whole, aten.linear.default):
        return None
    x, weight, bias = bound(whole).values()

    def ordered(value: Any) -> Any:
        rows = [_once(e, aten.slice.Tensor, value, 0, start, stop) for start, stop in bounds]
        return _once(e, aten.cat.default, rows, 0)

    if sum(stop - start for start, stop in bounds) != size or not is_constant(weight):
        return None
    return e.linear(x, ordered(weight), None if bias is None else ordered(bias))


def _one_item(e: Emitter, items: Sequence[Node]) -> Node | None:
    """Return the same item of several layers of one sequence, joined."""
    layers, places = zip(*((arguments(i)[0], arguments(i)[1:]) for i in items), strict=True)
    if len(set(places)) > 1 or not all(is_call(v, aten.linear.default) for v in layers):
        return None
    whole = _one_layer(e, layers)
    return None if whole is None else e(aten.select.int, whole, *places[0])


def _once(e: Emitter, target: Any, *args: Any) -> Node:
    """Return the call that an earlier step has made already, else a new one."""
    first = args[0][0] if isinstance(args[0], list) else args[0]
    for user in first.users:
        if user.target is target and list(arguments(user)) == list(args) and user < e.origin:
            return user  # type: ignore[no-any-return]
    return e(target, *args)


def _one_layer(e: Emitter, layers: Sequence[Node]) -> Node | None:
    """Return layers that read the same as one."""
    args = [list(bound(layer).values()) for layer in layers]
    x = args[0][0]
    alike = all(a[0] is x and is_constant(a[1]) for a in args)
    biased = [a[2] is not None for a in args]
    if not alike or any(biased) != all(biased):
        return None
    weight = _once(e, aten.cat.default, [a[1] for a in args], 0)
    bias = _once(e, aten.cat.default, [a[2] for a in args], 0) if biased[0] else None
    return e.linear(x, weight, bias)


@finds("a recurrent net", aten.linear.default, exact=False)
def all_steps(e: Emitter, node: Node) -> Node | None:
    """A layer that reads item after item of a sequence: once, of all items."""
    x, weight, bias = bound(node).values()
    if not is_call(x, aten.select.int) or not is_static(x) or INNER in x.meta:
        return None
    sequence, dim, index = arguments(x)
    if dim == rank_of(sequence) - 1 or not isinstance(sequence, Node):
        return None
    items = {
        arguments(item)[2]
        for item in sequence.users
        if item.target is aten.select.int and arguments(item)[1] == dim
        for layer in item.users
        if layer.target is aten.linear.default and bound(layer)["weight"] is weight
    }
    whole = _layer_of(sequence, weight, bias)
    if whole is None:
        if len(items) < max(2, shape_of(sequence)[dim]):
            return None
        last = max(v for v in (sequence, weight, bias) if isinstance(v, Node))
        with e.model.graph.inserting_after(last):
            whole = e.linear(sequence, weight, bias)
    return e(aten.select.int, whole, dim, index)


def _layer_of(sequence: Node, weight: Node, bias: Node | None) -> Node | None:
    """Return the layer of a whole sequence, where it is there."""
    wanted = {"input": sequence, "weight": weight, "bias": bias}
    layers = (user for user in sequence.users if user.target is aten.linear.default)
    return next((layer for layer in layers if bound(layer) == wanted), None)
