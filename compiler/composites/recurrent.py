"""Recurrent nets of an exported graph, unrolled into a form that keeps its accuracy in integers.

Between matrix products, which read int8, a cell computes in int16. All of its functions are one
function of one scale, tanh, so that an NPU loads one table for the whole net: the sigmoid of x is
half of 1 + tanh(x / 2). Gates have fixed scales, and are the sum of their operands and the function
in one operation; cell states have a scale of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch.fx import Node

from tosaic.composites.composite import decomposes
from tosaic.composites.inner import Inner
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import INNER, arguments, is_call, rank_of, shape_of
from tosaic.lowering.torch_to_tosa.rnn import Cell, Net, cells_of

aten = torch.ops.aten
# Of what tanh reads: in int16 up to 4, where it is within 0.07 % of 1. A step of the table is 1/64.
_ARGUMENT = 2.0**-13
# Of what it gives, so that 1 is a whole number of steps and the sum with it is exact.
_VALUE = 2.0**-14
# Function -> of the sum that it reads; a relu is part of the sum.
_SUMS = {"sigmoid": 2 * _ARGUMENT, "tanh": _ARGUMENT}


@dataclass(frozen=True)
class Recurrent(Emitter):
    """`Algebra` of tosaic's rnn on FX nodes; what it computes is marked as `Inner`."""

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        """Return ``x @ weight.T + bias``, at every step with the same parameters."""
        out = super().linear(x, weight, bias)
        out.meta[INNER] = Inner(alike=weight.name)
        return out

    def function(self, name: str, x: Node) -> Node:
        """Return "sigmoid", "tanh" or "relu" of `x`."""
        if name == "relu":
            return _inner(self(aten.relu.default, x))
        if name == "tanh":
            return _inner(self(aten.tanh.default, x), _VALUE, reads=_ARGUMENT)
        half = _inner(self(aten.mul.Tensor, x, 0.5), _ARGUMENT, reads=2 * _ARGUMENT)
        value = self.function("tanh", half)
        half = _inner(self(aten.mul.Tensor, value, 0.5), _VALUE / 2)
        return _inner(self(aten.add.Tensor, half, 0.5), _VALUE / 2)

    def gates(self, names: Sequence[str], x: Node, y: Node | None) -> list[Node]:
        """Return the functions `names`, one for each equal part of the last dim of ``x + y``."""
        size, start, out = self.shape(x)[-1] // len(names), 0, []
        for name, alike in itertools.groupby(names):
            count = len(list(alike))
            total = self._part(x, start, start + count * size)
            if y is not None:
                other = self._part(y, start, start + count * size)
                total = _inner(self(aten.add.Tensor, total, other), _SUMS.get(name))
            out += self.chunks(self.function(name, total), count)
            start += count * size
        return out

    def state(self, x: Node, weight: Node) -> Node:
        """Return `x`, stored as the recipe says, at every step with the same parameters."""
        given = x.meta.get(INNER, Inner())
        x.meta[INNER] = replace(given, leaves=True, alike=f"what {weight.name} reads")
        return x

    def copy(self, x: Node) -> Node:
        """Return `x` once more, to be stored otherwise."""
        return self(aten.mul.Tensor, x, 1.0)

    def arithmetic(self, name: str, x: Node, y: Node) -> Node:
        """Return the "add", "sub" or "mul" of two values."""
        return _inner(self(getattr(aten, name).Tensor, x, y))

    def chunks(self, x: Node, count: int) -> list[Node]:
        """Return the last dim in `count` equal parts."""
        size = self.shape(x)[-1] // count
        return [self._part(x, n * size, (n + 1) * size) for n in range(count)]

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

    def _part(self, x: Node, start: int, stop: int) -> Node:
        whole = (start, stop) == (0, self.shape(x)[-1])
        return x if whole else _inner(self(aten.slice.Tensor, x, -1, start, stop))


def _inner(node: Node, scale: float | None = None, *, reads: float | None = None) -> Node:
    node.meta[INNER] = Inner(scale, reads)
    return node


def recurrent_net(
    kind: str,
    e: Emitter,
    x: Node,
    states: Any,
    weights: list[Node],
    biased: bool,
    layers: int,
    dropout: float,
    train: bool,
    two_way: bool,
    batch_first: bool,
) -> tuple[Node, ...] | None:
    """Return what `aten.lstm` and the like return, unrolled; None where it drops out at random."""
    if train and dropout:
        return None
    ops, directions = Recurrent(e.model, e.origin), 2 if two_way else 1
    cells = cells_of(kind, weights, layers * directions, biased=biased)
    h, *rest = (_rows(ops, s) for s in (states if isinstance(states, list | tuple) else [states]))
    c = [r and _inner(r) for r in rest[0]] if rest else [None] * len(h)
    out, last_h, last_c = Net(cells, directions, batch_first).unroll(ops, x, h, c)
    return (out, last_h) if last_c is None else (out, last_h, last_c)


def recurrent_cell(
    kind: str,
    e: Emitter,
    x: Node,
    states: Any,
    input_weight: Node,
    state_weight: Node,
    input_bias: Node | None = None,
    state_bias: Node | None = None,
) -> Node | tuple[Node, ...]:
    """Return what `aten.lstm_cell` and the like return, in parts."""
    ops = Recurrent(e.model, e.origin)
    cell = Cell(kind, input_weight, state_weight, input_bias, state_bias)
    given = states if isinstance(states, list | tuple) else [states]
    h, c, *_ = (*(None if _is_zero(ops, s) else s for s in given), None)
    new_h, new_c = cell.step(ops, projected(ops, x, input_weight, input_bias), h, c)
    return new_h if kind != "lstm" or new_c is None else (new_h, new_c)


def projected(ops: Recurrent, x: Node, weight: Node, bias: Node | None) -> Node:
    """Return what an input gives; where `x` is an item of a sequence, for all items at once."""
    if not is_call(x, aten.select.int) or arguments(x)[1] == rank_of(arguments(x)[0]) - 1:
        return ops.linear(x, weight, bias)
    sequence, dim, index = arguments(x)
    items = {n.args[2] for n in sequence.users if is_call(n, x.target) and n.args[1] == dim}
    if len(items) < shape_of(sequence)[dim]:
        return ops.linear(x, weight, bias)
    return ops(aten.select.int, of_all_items(ops, sequence, weight, bias), dim, index)


def of_all_items(ops: Recurrent, sequence: Node, weight: Node, bias: Node | None) -> Node:
    """Return the layer of a whole sequence, which the steps of a net have in common."""
    layers = (n for n in sequence.users if n.target is aten.linear.default and INNER in n.meta)
    whole = next((n for n in layers if n.args[1:] == (weight, bias)), None)
    if whole is None:
        last = max(v for v in (sequence, weight, bias) if isinstance(v, Node))
        with ops.model.graph.inserting_after(last):
            whole = ops.linear(sequence, weight, bias)
    return whole


def _rows(ops: Recurrent, state: Node) -> list[Node | None]:
    """Return the states of the cells; None where they are zeros."""
    return [None] * ops.shape(state)[0] if _is_zero(ops, state) else list(ops.rows(state))


def _is_zero(ops: Recurrent, state: Node) -> bool:
    known = ops.value(state)
    return known is not None and not bool(known.any())


for _op, _kind in {
    aten.lstm.input: "lstm",
    aten.gru.input: "gru",
    aten.rnn_tanh.input: "rnn_tanh",
    aten.rnn_relu.input: "rnn_relu",
}.items():
    decomposes(_op)(partial(recurrent_net, _kind))
for _op, _kind in {
    aten.lstm_cell.default: "lstm",
    aten.gru_cell.default: "gru",
    aten.rnn_tanh_cell.default: "rnn_tanh",
    aten.rnn_relu_cell.default: "rnn_relu",
}.items():
    decomposes(_op)(partial(recurrent_cell, _kind))
