"""Rounding weights, and choosing their scales, for the inputs that a layer will really get.

`fit_weights` looks at each layer alone. Here layers are rounded in the order they run, and each is
given what the layers before it make of the calibration data once they are rounded. Its weights are
first moved to the real numbers whose output on those inputs is nearest to the float model's, so
that it takes back what the others lost; how far they may move is what serves items best that were
left out. Then each row is rounded on a grid of scales, the best is kept, and scale and rounding are
improved in turn while the error falls. That is done with the inputs' covariance damped more and
less, and the outputs of the whole model tell which result to take. Calibration data is enlarged by
mixtures of its items first.

The problem is that of Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization"
(2020), equation 25; the error is a quadratic form of the weights, so it is searched by coordinates
and needs no gradients.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from tosaic.graph.values import attribute, replace_attribute
from tosaic.quantizer.cluster import Grid
from tosaic.quantizer.enlarge import enlarged
from tosaic.quantizer.fit_weights import (
    COLUMNS,
    MOST_COLUMNS,
    Layer,
    add_to_bias,
    rounded_rows,
    weighted_layers,
)
from tosaic.quantizer.judge import Judge
from tosaic.quantizer.rounding import Values, call, rounder

_MOST_ITEMS = 64  # that are kept at hand; calibration data beyond is thinned evenly
_MOST_ELEMENTS = 2**21  # in the inputs of all items, mixtures among them
_RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
_FOLDS = 4
# Of the largest weight, the smallest scale that is tried.
_SMALLEST = {7: 0.35, 127: 0.8}
_LONG = 2**28  # the work on a model is its weights, each times the columns of its layer
_ROUNDS = 3
_SWEEPS = 4


@dataclass(frozen=True)
class _Effort:
    """How much is tried.

    Attributes:
        dampings: Of a covariance of mean variance 1.
        scales: How many scales a row is rounded on, by the largest integer of its weights.
        kept: How many of them are looked at closely.
    """

    dampings: tuple[float, ...]
    scales: dict[int, int]
    kept: int


_THOROUGH = _Effort((0.01, 0.03, 0.1), {7: 60, 127: 8}, 8)
_QUICK = _Effort((0.1,), {7: 30, 127: 8}, 4)


class RoundingLearner:
    """Rounds those weights of a calibrated model whose recipe says "learned"."""

    def __init__(self, prepared: GraphModule) -> None:
        self._model = prepared
        wanted = weighted_layers(prepared, lambda observer: observer.learned)
        self._layers = {layer.node: layer for layer in wanted}
        weights = [attribute(prepared, layer.weight) for layer in wanted]
        work = sum(w.numel() * w[0].numel() for w in weights if w[0].numel() <= MOST_COLUMNS)
        self._effort = _THOROUGH if work <= _LONG else _QUICK

    @property
    def is_needed(self) -> bool:
        """Whether the recipe wants any weight rounded so."""
        return bool(self._layers)

    @torch.no_grad()
    def learn(self, items: Sequence[tuple[Tensor, ...]]) -> None:
        """Replace weights by what they are to be rounded to, their scales and biases with them."""
        if not self.is_needed:
            return
        items = items[:: -(-len(items) // _MOST_ITEMS)]
        elements = max(1, sum(x.numel() for x in items[0]))
        chosen = enlarged(items, min(_MOST_ITEMS, _MOST_ELEMENTS // elements))
        judge = Judge(self._model, chosen)
        # What the float model computes, and the rounded one, for each item.
        real: list[Values] = [{} for _ in chosen]
        rounded: list[Values] = [{} for _ in chosen]
        placeholders = 0
        spent = _last_uses(self._model)
        for node in list(self._model.graph.nodes):
            if node.op == "output":
                break
            if node.op == "placeholder":
                for values in (real, rounded):
                    for known, item in zip(values, chosen, strict=True):
                        known[node] = item[placeholders]
                placeholders += 1
            elif node.op == "get_attr":
                for known in (*real, *rounded):
                    known[node] = attribute(self._model, node)
            elif node.op == "call_module":
                self._observe(node, real, rounded)
            else:
                for known in real:
                    known[node] = call(node, known.__getitem__)
                if node in self._layers:
                    self._round(self._layers[node], judge, real, rounded)
                for known in rounded:
                    known[node] = call(node, known.__getitem__)
            for known in (*real, *rounded):
                for source in spent.get(node, ()):
                    known.pop(source)

    def _observe(self, node: Node, real: list[Values], rounded: list[Values]) -> None:
        """An observer: the rounded model rounds there."""
        (source,) = node.all_input_nodes
        rounds = rounder(self._model.get_submodule(str(node.target)))
        same = source.op == "get_attr"
        for n, (exact, known) in enumerate(zip(real, rounded, strict=True)):
            exact[node] = exact[source]
            known[node] = rounded[0][node] if same and n else rounds(known[source])

    def _round(self, layer: Layer, judge: Judge, real: list[Values], rounded: list[Values]) -> None:
        """Round a layer in several ways and keep what is best for the outputs of the model."""
        rounding = _Rounding(layer, real, rounded)
        with _one_thread():
            found = rounding.search(self._effort)
        best = found[0]
        if len(found) > 1:
            best = min(found, key=lambda f: judge.error(layer.node, f.weight, f.shift, rounded))
        observer = layer.observer
        observer.min_val.copy_(-best.bound)
        observer.max_val.copy_(best.bound)
        replace_attribute(self._model, layer.weight, best.weight)
        holder = layer.node.args[1]
        assert isinstance(holder, Node)
        for known in rounded:
            known[holder] = best.weight
        bias = add_to_bias(self._model, layer.node, best.shift) if observer.centred else None
        if bias is not None:
            for known in rounded:
                known[bias] = attribute(self._model, bias)


@dataclass(frozen=True)
class _Found:
    """A weight rounded, the ends of its rows' ranges, and what the bias is to gain."""

    weight: Tensor
    bound: Tensor
    shift: Tensor


class _Rounding:
    """The weights of one layer; everything is [groups, rows, columns], as in fit_weights."""

    def __init__(self, layer: Layer, real: list[Values], rounded: list[Values]) -> None:
        node = layer.node
        self._observer = layer.observer
        self._items = len(real)
        source, holder = node.all_input_nodes[:2]
        self._before: Tensor = real[0][holder].detach()
        look = COLUMNS[node.target]
        exact, given = (
            torch.cat([look(k[source], self._before, *node.args[3:]) for k in known], 2).double()
            for known in (real, rounded)
        )
        groups = given.shape[0]
        rows = self._before.reshape(groups, self._before.shape[0] // groups, -1)
        self._rows: Tensor = rows.double()
        centre = layer.observer.centred
        self._means = [
            x.mean(2) if centre else torch.zeros_like(x[:, :, 0]) for x in (exact, given)
        ]
        exact, given = (x - m[:, :, None] for x, m in zip((exact, given), self._means, strict=True))
        variance = given.square().mean()
        tiny, huge = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max
        self._is_known = given.shape[1] <= MOST_COLUMNS and bool(tiny < variance < huge)
        scale = variance.sqrt() if self._is_known else variance
        self._exact, self._given = exact / scale, given / scale

    def search(self, effort: _Effort) -> list[_Found]:
        """Return the layer rounded, in a way for each damping of the covariance of its inputs.

        Where inputs do not vary or too many columns do, weights are rounded to the nearest.
        """
        limit = self._observer.quant_max
        if not self._is_known:
            return [self._found(self._rows, self._observed(), limit)]
        cost = self._given @ self._given.mT / self._given.shape[2]
        wanted = self._wanted()
        return [self._searched(wanted, cost, damping, effort) for damping in effort.dampings]

    def _searched(self, wanted: Tensor, cost: Tensor, damping: float, effort: _Effort) -> _Found:
        limit = self._observer.quant_max
        cost = cost + damping * torch.eye(cost.shape[-1], dtype=torch.float64)
        steps = self._steps(wanted, effort.scales[limit])
        count, groups, rows, _ = steps.shape
        # Every row on every scale is a row of its own.
        stacked = steps.transpose(0, 1).reshape(groups, count * rows, 1)
        targets = wanted[:, None].expand(-1, count, -1, -1).reshape(groups, count * rows, -1)
        found = rounded_rows(targets.float(), Grid(stacked.float(), limit), cost.float()).double()
        errors = _errors(found, targets, cost).reshape(groups, count, rows)
        if not self._per_row:
            errors = errors.sum((0, 2), keepdim=True).expand_as(errors)
        best = errors.topk(min(effort.kept, count), 1, largest=False).indices[..., None]

        def kept(x: Tensor) -> Tensor:
            apart = x.reshape(groups, count, rows, -1)
            return apart.gather(1, best.expand(-1, -1, -1, apart.shape[3])).flatten(1, 2)

        step, chosen, wanted = kept(stacked), kept(found), kept(targets)
        for _ in range(_ROUNDS):
            if self._per_row:
                step, chosen = _refitted(step, chosen, wanted, cost)
            _descend(chosen, step, wanted, limit, cost)
        errors = _errors(chosen, wanted, cost).reshape(groups, -1, rows)
        if not self._per_row:
            errors = errors.sum((0, 2), keepdim=True).expand_as(errors)
        best, count = errors.argmin(1)[:, None, :, None], errors.shape[1]
        return self._found(kept(chosen), kept(step), limit)

    @property
    def _per_row(self) -> bool:
        return bool(self._observer.qscheme == torch.per_channel_symmetric)

    def _wanted(self) -> Tensor:
        """Return the real weights whose output on the given inputs is nearest to the float one."""
        difference = self._rows @ (self._exact - self._given)
        ridge = self._ridge(difference)
        _, columns, positions = self._given.shape
        identity = torch.eye(columns, dtype=torch.float64)
        cost = self._given @ self._given.mT / positions + ridge * identity
        right = self._given @ difference.mT / positions
        change: Tensor = torch.linalg.solve(cost, right).mT
        return self._rows + change

    def _ridge(self, difference: Tensor) -> float:
        """Return how much weights are held where they are, by what is best for items left out."""
        positions = self._given.shape[2]
        if self._items < 2 or positions % self._items:
            return 1.0
        errors = torch.zeros(len(_RIDGES), dtype=torch.float64)
        item = torch.arange(self._items).repeat_interleave(positions // self._items)
        folds = min(_FOLDS, self._items)
        for fold in range(folds):
            out = item % folds == fold
            seen, unseen = self._given[:, :, ~out], self._given[:, :, out]
            values, vectors = torch.linalg.eigh(seen @ seen.mT / seen.shape[2])
            right = difference[:, :, ~out] @ seen.mT @ vectors / seen.shape[2]
            left = vectors.mT @ unseen
            for n, ridge in enumerate(_RIDGES):
                change = (right / (values[:, None] + ridge)) @ left
                errors[n] += (change - difference[:, :, out]).square().sum()
        return _RIDGES[int(errors.argmin())]

    def _observed(self) -> Tensor:
        """Return the observer's scales, [groups, rows, 1]."""
        groups, rows, _ = self._rows.shape
        scale: Tensor = self._observer.calculate_qparams()[0].double().reshape(-1, 1)
        return scale.expand(groups * rows, 1).reshape(groups, rows, 1)

    def _steps(self, wanted: Tensor, count: int) -> Tensor:
        """Return [scales, groups, rows, 1]: the observer's, and parts of the largest weight's."""
        limit = self._observer.quant_max
        largest = wanted.abs().amax(2, keepdim=True)
        if not self._per_row:
            largest = largest.max().expand_as(largest)
        fractions = torch.linspace(1.0, _SMALLEST[limit], count, dtype=torch.float64)
        tried = fractions.reshape(-1, 1, 1, 1) * largest / limit
        least: float = self._observer.eps
        return torch.cat([self._observed()[None], tried]).clamp(min=least)

    def _found(self, chosen: Tensor, step: Tensor, limit: int) -> _Found:
        bound = (step * limit).reshape(-1).float()
        bound = bound if self._per_row else bound.max()
        scale = (bound / limit).clamp(min=self._observer.eps).reshape(-1, 1)
        whole = (chosen / step).round().clamp(-limit, limit)
        whole = whole.reshape(self._before.shape[0], -1).float()
        weight = (whole * scale).reshape(self._before.shape)
        exact, given = self._means
        after = weight.reshape(self._rows.shape).double()
        change = self._rows @ exact[:, :, None] - after @ given[:, :, None]
        return _Found(weight, bound, change.reshape(-1).float())


def _errors(found: Tensor, wanted: Tensor, cost: Tensor) -> Tensor:
    """Return what each row errs in output."""
    off = found - wanted
    return ((off @ cost) * off).sum(2)


def _refitted(step: Tensor, found: Tensor, wanted: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each row the step that is best for its integers, and the row."""
    whole = found / step
    weighed = whole @ cost
    along = (weighed * wanted).sum(2, keepdim=True)
    square = (weighed * whole).sum(2, keepdim=True)
    # No more than a little at once: a step that shrinks much would cut weights off.
    factor = torch.where(square > 0, along / square.clamp(min=1e-30) / step, 1.0).clamp(0.8, 1.25)
    return step * factor, found * factor


def _descend(found: Tensor, step: Tensor, wanted: Tensor, limit: int, cost: Tensor) -> None:
    """Set one column after another to what is best beside the others, until none changes."""
    off = found - wanted
    variance = cost.diagonal(dim1=1, dim2=2)
    for _ in range(_SWEEPS):
        changed = False
        for column in range(cost.shape[-1]):
            now = found[:, :, column : column + 1]
            slope = off @ cost[:, :, column : column + 1]
            best = now - slope / variance[:, column][:, None, None]
            change = (best / step).round().clamp(-limit, limit) * step - now
            changed = changed or bool((change.abs() > step / 2).any())
            found[:, :, column : column + 1] += change
            off[:, :, column : column + 1] += change
        if not changed:
            return


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Threads would slow many small steps down, and change their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _last_uses(model: GraphModule) -> dict[Node, list[Node]]:
    """Return for each node the values that nothing behind it reads."""
    last = {source: node for node in model.graph.nodes for source in node.all_input_nodes}
    spent: dict[Node, list[Node]] = {}
    for source, node in last.items():
        spent.setdefault(node, []).append(source)
    return spent
