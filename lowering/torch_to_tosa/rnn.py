"""LSTM, GRU and plain recurrent nets, unrolled over a static number of steps.

`unroll` is written once against `Algebra`: here it builds TOSA, in tosaic.quantizer.decompose FX
nodes. Sources: Hochreiter & Schmidhuber, 1997; Cho et al., 2014; gates ordered as PyTorch does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import DYNAMIC, constant_value, shape_of
from tosaic.lowering.ops import Lowering, Refusal, lowers
from tosaic.lowering.torch_to_tosa.linear import product
from tosaic.lowering.torch_to_tosa.operators import aten_name

V = TypeVar("V")


class Algebra(Protocol[V]):
    """What a recurrent net is made of."""

    def linear(self, x: V, weight: V, bias: V | None) -> V:
        """Return ``x @ weight.T + bias``."""

    def function(self, name: str, x: V) -> V:
        """Return "sigmoid", "tanh" or "relu" of `x`."""

    def gates(self, names: Sequence[str], x: V, y: V | None) -> list[V]:
        """Return the functions `names`, one for each equal part of the last dim of ``x + y``."""

    def state(self, x: V, weight: V) -> V:
        """Return `x`, which the product with `weight` reads, and perhaps other layers."""

    def copy(self, x: V) -> V:
        """Return `x`, which may be stored otherwise than `x` itself."""

    def arithmetic(self, name: str, x: V, y: V) -> V:
        """Return the "add", "sub" or "mul" of two values."""

    def chunks(self, x: V, count: int) -> list[V]:
        """Return the last dim in `count` equal parts."""

    def rows(self, x: V) -> list[V]:
        """Return the items along the first dim, which goes."""

    def stack(self, values: Sequence[V]) -> V:
        """Return `values` along a new first dim."""

    def join(self, values: Sequence[V]) -> V:
        """Return `values` joined along the last dim."""

    def swapped(self, x: V) -> V:
        """Return `x` with its first two dims swapped."""


@dataclass(frozen=True)
class Cell(Generic[V]):
    """One step: `kind` is "lstm", "gru", "rnn_tanh" or "rnn_relu"; what is not there is None."""

    kind: str
    input_weight: V
    state_weight: V
    input_bias: V | None
    state_bias: V | None
    projection: V | None = None

    def projected(self, ops: Algebra[V], x: V) -> V:
        """Return what the input contributes to the gates; for all steps at once."""
        return ops.linear(x, self.input_weight, self.input_bias)

    def step(self, ops: Algebra[V], x: V, h: V | None, memory: V | None) -> tuple[V, V | None]:
        """Return the next (h, memory) from the projected input; None is a state of zeros.

        The memory of an LSTM is its cell state, that of a GRU what became `h`; others have none.
        """
        recurrent = (
            self.state_bias if h is None else ops.linear(h, self.state_weight, self.state_bias)
        )
        if self.kind == "lstm":
            return self._lstm(ops, x, recurrent, memory)
        if self.kind == "gru":
            return self._gru(ops, x, recurrent, h if memory is None else memory)
        (out,) = ops.gates([self.kind.removeprefix("rnn_")], x, recurrent)
        return ops.state(out, self.state_weight), None

    def _lstm(self, ops: Algebra[V], x: V, recurrent: V | None, c: V | None) -> tuple[V, V]:
        i, f, g, o = ops.gates(["sigmoid", "sigmoid", "tanh", "sigmoid"], x, recurrent)
        fresh = ops.arithmetic("mul", i, g)
        if c is not None:
            fresh = ops.arithmetic("add", ops.arithmetic("mul", f, c), fresh)
        out = ops.arithmetic("mul", o, ops.function("tanh", fresh))
        if self.projection is not None:
            out = ops.linear(ops.state(out, self.projection), self.projection, None)
        return ops.state(out, self.state_weight), fresh

    def _gru(self, ops: Algebra[V], x: V, recurrent: V | None, h: V | None) -> tuple[V, V]:
        *levels, new = ops.chunks(x, 3)
        parts = [None] * 3 if recurrent is None else ops.chunks(recurrent, 3)
        reset, update = (
            ops.gates(["sigmoid"], level, parts[n])[0] for n, level in enumerate(levels)
        )
        gated = None if parts[2] is None else ops.arithmetic("mul", reset, parts[2])
        (new,) = ops.gates(["tanh"], new, gated)
        # (1 - z) n + z h
        if h is None:
            out = ops.arithmetic("sub", new, ops.arithmetic("mul", update, new))
        else:
            change = ops.arithmetic("mul", update, ops.arithmetic("sub", h, new))
            out = ops.arithmetic("add", new, change)
        return ops.state(ops.copy(out), self.state_weight), out


@dataclass(frozen=True)
class Net(Generic[V]):
    """A whole net: cells by layer, then direction; states likewise, None where they are zeros."""

    cells: list[Cell[V]]
    directions: int
    batch_first: bool

    def unroll(
        self, ops: Algebra[V], x: V, h: Sequence[V | None], c: Sequence[V | None]
    ) -> tuple[V, V, V | None]:
        """Return (output, last h, last c) for `x` [T,B,I], or [B,T,I] with `batch_first`."""
        if self.batch_first:
            x = ops.swapped(x)
        last_h: list[V] = []
        last_c: list[V] = []
        for layer in range(len(self.cells) // self.directions):
            sides: list[list[V]] = []
            for direction in range(self.directions):
                n = layer * self.directions + direction
                cell, state, memory = self.cells[n], h[n], c[n]
                steps = ops.rows(cell.projected(ops, x))
                outputs: list[V] = []
                for gates in reversed(steps) if direction else steps:
                    state, memory = cell.step(ops, gates, state, memory)
                    outputs.append(state)
                assert state is not None
                last_h.append(state)
                if cell.kind == "lstm" and memory is not None:
                    last_c.append(memory)
                sides.append(outputs[::-1] if direction else outputs)
            pairs = [list(values) for values in zip(*sides, strict=True)]
            x = ops.stack([p[0] if len(p) == 1 else ops.join(p) for p in pairs])
        x = ops.swapped(x) if self.batch_first else x
        return x, ops.stack(last_h), ops.stack(last_c) if last_c else None


def cells_of(kind: str, weights: Sequence[V], count: int, *, biased: bool) -> list[Cell[V]]:
    """Return the `count` cells that PyTorch's flat list of parameters holds."""
    cells = []
    each = len(weights) // count
    for n in range(0, len(weights), each):
        state_end = n + 4 if biased else n + 2
        input_bias, state_bias = weights[n + 2 : state_end] if biased else (None, None)
        projection = weights[state_end] if state_end < n + each else None
        cells.append(Cell(kind, weights[n], weights[n + 1], input_bias, state_bias, projection))
    return cells


@dataclass(frozen=True)
class _Tosa:
    """`Algebra` on TOSA values."""

    b: Builder

    def linear(self, x: ir.Value, weight: ir.Value, bias: ir.Value | None) -> ir.Value:
        return product(self.b, x, weight, bias)

    def function(self, name: str, x: ir.Value) -> ir.Value:
        return self.b.clamp(x, 0, None) if name == "relu" else self.b.unary(f"tosa.{name}", x)

    def gates(self, names: Sequence[str], x: ir.Value, y: ir.Value | None) -> list[ir.Value]:
        total = x if y is None else self.b.add(x, y)
        parts = self.chunks(total, len(names))
        return [self.function(name, part) for name, part in zip(names, parts, strict=True)]

    def state(self, x: ir.Value, weight: ir.Value) -> ir.Value:
        return x

    def copy(self, x: ir.Value) -> ir.Value:
        return x

    def arithmetic(self, name: str, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.b.mul(x, y) if name == "mul" else self.b.binary(f"tosa.{name}", x, y)

    def chunks(self, x: ir.Value, count: int) -> list[ir.Value]:
        shape = shape_of(x)
        size = shape[-1] // count
        begin = [0] * (len(shape) - 1)
        return [self.b.slice(x, [*begin, n * size], [*shape[:-1], size]) for n in range(count)]

    def rows(self, x: ir.Value) -> list[ir.Value]:
        count, *rest = shape_of(x)
        zeros = [0] * len(rest)
        return [
            self.b.reshape(self.b.slice(x, [n, *zeros], [1, *rest]), rest) for n in range(count)
        ]

    def stack(self, values: Sequence[ir.Value]) -> ir.Value:
        rows = [self.b.reshape(v, [1, *shape_of(v)]) for v in values]
        return rows[0] if len(rows) == 1 else self.b.concat(rows, 0)

    def join(self, values: Sequence[ir.Value]) -> ir.Value:
        return self.b.concat(values, len(shape_of(values[0])) - 1)

    def swapped(self, x: ir.Value) -> ir.Value:
        return self.b.transpose(x, (1, 0, *range(2, len(shape_of(x)))))


def _states(ctx: Lowering, x: ir.Value) -> list[ir.Value | None]:
    """Return the rows of a state tensor; None for those that are constant zeros."""
    known = constant_value(x)
    if known is not None and not np.any(known):
        return [None] * shape_of(x)[0]
    return list(_Tosa(ctx.b).rows(x))


def _net(ctx: Lowering, kind: str, states: list[ir.Value]) -> tuple[ir.Value, ...]:
    """Lower `lstm/gru/rnn(x, states, weights, biased, layers, dropout, train, two-way, …)`."""
    x = ctx.tensor(0)
    if ctx.flag(6) and ctx.real(5):
        raise Refusal("it drops out at random; call model.eval() before exporting")
    if DYNAMIC in shape_of(x):
        raise Refusal("a recurrent net is unrolled, which needs static shapes; specialise them")
    directions = 2 if ctx.flag(7) else 1
    cells = cells_of(kind, ctx.tensors(2), ctx.integer(4) * directions, biased=ctx.flag(3))
    h = _states(ctx, states[0])
    c = _states(ctx, states[1]) if len(states) > 1 else [None] * len(h)
    out, last_h, last_c = Net(cells, directions, ctx.flag(8)).unroll(_Tosa(ctx.b), x, h, c)
    return (out, last_h) if last_c is None else (out, last_h, last_c)


@lowers("torch.aten.lstm.input")
def lstm(ctx: Lowering) -> tuple[ir.Value, ...]:
    """`lstm(x, [h, c], weights, …)` -> output, h, c."""
    return _net(ctx, "lstm", ctx.tensors(1))


@lowers("torch.aten.gru.input", "torch.aten.rnn_tanh.input", "torch.aten.rnn_relu.input")
def recurrent(ctx: Lowering) -> tuple[ir.Value, ...]:
    """`gru(x, h, weights, …)` -> output, h."""
    kind = aten_name(ctx).removeprefix("torch.aten.").removesuffix(".input")
    return _net(ctx, kind, [ctx.tensor(1)])


def _cell(ctx: Lowering, kind: str) -> Cell[ir.Value]:
    return Cell(kind, ctx.tensor(2), ctx.tensor(3), ctx.optional(4), ctx.optional(5))


@lowers("torch.aten.lstm_cell")
def lstm_cell(ctx: Lowering) -> list[ir.Value]:
    """`lstm_cell(x, [h, c], weights and biases)` -> h, c."""
    cell, ops = _cell(ctx, "lstm"), _Tosa(ctx.b)
    h, c = cell.step(ops, cell.projected(ops, ctx.tensor(0)), *ctx.tensors(1))
    assert c is not None
    return [h, c]


@lowers("torch.aten.gru_cell", "torch.aten.rnn_tanh_cell", "torch.aten.rnn_relu_cell")
def recurrent_cell(ctx: Lowering) -> ir.Value:
    """`gru_cell(x, h, weights and biases)` -> h."""
    cell = _cell(ctx, aten_name(ctx).removeprefix("torch.aten.").removesuffix("_cell"))
    ops = _Tosa(ctx.b)
    return cell.step(ops, cell.projected(ops, ctx.tensor(0)), ctx.tensor(1), None)[0]
