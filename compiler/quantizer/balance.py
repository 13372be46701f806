"""Moving scales per channel along seams, by as much as lowers the error on calibration data.

Activations have one scale for all channels, so a channel of small numbers is rounded coarsely, and
one of large numbers makes it so for the others. A factor per channel, divided out where it is
written and multiplied in where it is read, changes nothing in float but both roundings. Several
sets of factors are tried on a few calibration items with the rounding simulated between the two
ends; the best is kept, and none where it gains little.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from tosaic.graph.values import attribute
from tosaic.quantizer.rounding import call, rounded_as, rounder
from tosaic.quantizer.seams import Seam, is_layer, weight_of

_MOST_ITEMS = 4
_GAIN = 0.8  # what is left of the squared error where factors are worth it
_WIDEST = 1e3
# How much of a channel's range goes from activations to weights.
_STRENGTHS = (0.25, 0.5, 0.75, 1.0)


class Balancer(Interpreter):
    """Sees the values along some seams of a prepared model while it runs, then balances them."""

    def __init__(self, prepared: GraphModule, seams: Sequence[Seam]) -> None:
        super().__init__(prepared, garbage_collect_values=True)
        order = {node: number for number, node in enumerate(prepared.graph.nodes)}
        self._seams = sorted(seams, key=lambda seam: order[seam.producer])
        self._wanted = {node for seam in seams for node in _concerned(seam)}
        self._seen: dict[Node, list[Any]] = {node: [] for node in self._wanted}
        self._items = 0

    @property
    def is_needed(self) -> bool:
        """Whether there is any seam."""
        return bool(self._seams)

    def __call__(self, *inputs: Tensor) -> Any:
        """Run the model, its observers left out, on a calibration item."""
        self._items += 1
        return self.run(*inputs)

    def run_node(self, n: Node) -> Any:
        """Run a node and keep its value where a seam needs it."""
        if n.op == "call_module":
            (result,), _ = self.fetch_args_kwargs_from_env(n)
        elif n.op == "call_function":
            result = call(n, self.env.__getitem__)
        else:
            result = super().run_node(n)
        if n in self._wanted and n.op != "get_attr" and self._items <= _MOST_ITEMS:
            self._seen[n].append(result)
        return result

    @torch.no_grad()
    def balance(self) -> int:
        """Move scales along every seam that gains by it; return how many did."""
        model: Any = self.module
        moved = 0
        for seam in self._seams:
            least, best = self._error(seam, torch.ones(seam.count)) * _GAIN, None
            for factors in self._candidates(seam):
                error = self._error(seam, factors)
                if error < least:
                    least, best = error, factors
            if best is None:
                continue
            moved += 1
            seam.apply(model, best)
            for node, numbers in seam.path.items():
                for index, value in enumerate(self._seen[node]):
                    self._seen[node][index] = _divided(value, numbers, best)
        return moved

    def _candidates(self, seam: Seam) -> Iterator[Tensor]:
        """Yield factors: those of SmoothQuant, of AWQ, and of cross-layer equalisation.

        Xiao et al., 2022, equation 4; Lin et al., "AWQ", 2023, equation 5; Nagel et al.,
        "Data-Free Quantization", 2019, equation 11.
        """
        written, read = torch.zeros(seam.count), torch.zeros(seam.count)
        for reader, numbers in seam.readers.items():
            weight = self._value(weight_of(reader))
            groups = numbers.numel() // weight.shape[1]
            columns = weight.reshape(groups, -1, weight.shape[1], *weight.shape[2:]).abs()
            read = _largest(read, numbers, columns.amax([1, *range(3, columns.ndim)]))
            source = reader.all_input_nodes[0]
            for value in self._seen[source]:
                written = _largest(written, seam.path[source], value.abs())
        own = self._value(seam.parameters[0]).abs().reshape(seam.count, -1).amax(1)
        for strength in _STRENGTHS:
            yield _bounded(written**strength / read ** (1 - strength))
            yield _bounded(written**strength)
        yield _bounded((own / read).sqrt())

    def _error(self, seam: Seam, factors: Tensor) -> float:
        """Return the squared error of what reads `seam`, over its variance, when rounded."""
        values: dict[Node, list[Any]] = {}
        for node in seam.path:
            if node is seam.producer:
                values[node] = self._produced(seam, factors)
            elif node.op == "call_module":
                observer: Any = self.module.get_submodule(str(node.target))
                values[node] = _rounded(values[node.all_input_nodes[0]], observer)
            else:
                values[node] = self._run(node, values)
        error = 0.0
        for reader in seam.readers:
            weight = seam.multiplied(reader, self._value(weight_of(reader)), factors)
            holder = reader.args[1]
            assert isinstance(holder, Node)
            given = {**values, holder: [self._rounded_weight(reader, weight)] * len(self._inputs)}
            real, got = self._seen[reader], self._run(reader, given)
            for x, y in zip(real, got, strict=True):
                error += float((y - x).square().mean() / x.var(correction=0).clamp(min=1e-30))
        return error

    def _produced(self, seam: Seam, factors: Tensor) -> list[Any]:
        """Return what the producer writes with its channels divided by `factors`."""
        given: dict[Node, list[Any]] = {}
        for node in seam.parameters:
            value = seam.divided(self._value(node), factors)
            holder = node
            if is_layer(seam.producer) and node is seam.parameters[0]:
                holder = seam.producer.args[1]  # type: ignore[assignment]
                value = self._rounded_weight(seam.producer, value)
            given[holder] = [value] * len(self._inputs)
        return self._run(seam.producer, given)

    def _rounded_weight(self, layer: Node, weight: Tensor) -> Tensor:
        holder: Any = layer.args[1]
        # The model's own observers keep the weights that they see first.
        observer: Any = copy.deepcopy(self.module.get_submodule(holder.target))
        observer(weight)
        return rounder(observer)(weight)

    def _run(self, node: Node, values: dict[Node, list[Any]]) -> list[Any]:
        """Run `node` for every item on `values`, and on the float model's where there is none."""

        def known(item: int, source: Node) -> Any:
            if source in values:
                return values[source][item]
            if source.op == "get_attr":
                return self._value(source)
            return self._seen[source][item]

        return [call(node, partial(known, item)) for item in self._inputs]

    def _value(self, node: Node) -> Tensor:
        held: Tensor = attribute(self.module, node)
        return held.detach()

    @property
    def _inputs(self) -> range:
        return range(min(self._items, _MOST_ITEMS))


def _concerned(seam: Seam) -> Iterator[Node]:
    """Yield every node whose value the trial of a seam may ask for."""
    yield from seam.path
    for node in (*seam.path, *seam.readers):
        yield node
        yield from node.all_input_nodes


def _largest(least: Tensor, numbers: Tensor, values: Tensor) -> Tensor:
    """Return the largest of `least` and of the `values` of each channel."""
    return least.scatter_reduce(0, numbers.flatten(), values.flatten(), "amax")


def _bounded(factors: Tensor) -> Tensor:
    """Return factors around 1 and not far from it; 1 where a channel is dead."""
    live = factors.isfinite() & (factors > 0)
    if not bool(live.any()):
        return torch.ones_like(factors)
    middle = factors[live].log().mean().exp()
    return torch.where(live, factors / middle, 1.0).clamp(1 / _WIDEST, _WIDEST)


def _divided(value: Any, numbers: Any, factors: Tensor) -> Any:
    if isinstance(value, Tensor):
        return value / factors[numbers]
    return [_divided(v, n, factors) for v, n in zip(value, numbers, strict=True)]


def _rounded(values: list[Tensor], observer: Any) -> list[Tensor]:
    """Return `values` rounded as `observer` would have it, over their own range."""
    low = min(0.0, *(float(v.min()) for v in values))
    high = max(0.0, *(float(v.max()) for v in values))
    levels = observer.quant_max - observer.quant_min
    if observer.qscheme == torch.per_tensor_symmetric:
        low, high = -max(-low, high), max(-low, high)
    scale = max((high - low) / levels, 2.0**-24)
    zero = observer.quant_min - round(low / scale)
    limits = (observer.quant_min, observer.quant_max)
    parts = torch.tensor(scale), torch.tensor(zero)
    return [rounded_as(v, *parts, None, limits) for v in values]
