"""An op with everything that may follow it: all pairs are outputs of one module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class Limits:
    """Bounds inside of the values that an op gives, so that a clamp to them changes some."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, y: Tensor) -> Limits:
        return cls(*torch.quantile(y.flatten()[:4096], torch.tensor([0.2, 0.5, 0.8])).tolist())


# (the op's result, another tensor of its shape, bounds) -> outputs.
Follower = Callable[[Tensor, Tensor, Limits], Tensor | Tensors]

FOLLOWERS: dict[str, Follower] = {
    "nothing": lambda y, z, b: y,
    "relu": lambda y, z, b: F.relu(y),
    "relu6": lambda y, z, b: F.relu6(y),
    "hardtanh": lambda y, z, b: F.hardtanh(y, b.low, b.high),
    "clamp_min": lambda y, z, b: y.clamp(min=b.low),
    "clamp_min_op": lambda y, z, b: torch.clamp_min(y, b.low),
    "clamp_max": lambda y, z, b: y.clamp(max=b.high),
    "two_clamps": lambda y, z, b: F.relu(y.clamp(max=b.high)),
    "three_clamps": lambda y, z, b: F.relu6(y.clamp(min=b.low).clamp(max=b.high)),
    "add": lambda y, z, b: y + z,
    "mul": lambda y, z, b: y * z,
    "number": lambda y, z, b: y * 0.7 + 0.25,
    "sigmoid": lambda y, z, b: torch.sigmoid(y),
    "clamped_sigmoid": lambda y, z, b: torch.sigmoid(y.clamp(b.low, b.high)),
    "reshape": lambda y, z, b: y.reshape(-1),
    "transpose": lambda y, z, b: y.reshape(y.numel(), 1).transpose(0, 1),
    "reshaped_relu": lambda y, z, b: F.relu(y.reshape(-1)),
    "softmax": lambda y, z, b: torch.softmax(y.reshape(1, -1), 1),
    "second_reader": lambda y, z, b: (F.relu(y), y * z),
    "two_other_clamps": lambda y, z, b: (y.clamp(min=b.middle), y.clamp(max=b.middle)),
    "output_too": lambda y, z, b: (y, F.relu(y)),
    "clamp_output_too": lambda y, z, b: ((c := y.clamp(b.low, b.high)), torch.tanh(c)),
    "cat": lambda y, z, b: torch.cat([y.reshape(-1), z.reshape(-1)]),
}


class Pairs(nn.Module):
    """An op of its own, with inputs of its own, in front of each follower; all are outputs."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.ops = nn.ModuleList(make() for _ in FOLLOWERS)
        self.limits: list[Limits] = []
        self.takes = 0

    def bind(self, inputs: Sequence[Tensors]) -> None:
        """Learn from inputs of each pair how many there are, and the limits of the results."""
        self.takes = len(inputs[0])
        with torch.no_grad():
            for op, given in zip(self.ops, inputs, strict=True):
                self.limits.append(Limits.of(op(*given[:-1])))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        places = range(0, len(inputs), self.takes)
        results = self._results([inputs[n : n + self.takes] for n in places])
        return tuple(output for outputs in results for output in outputs)

    def labels(self, inputs: Sequence[Tensors]) -> list[str]:
        """Return a name for each output, the follower's."""
        with torch.no_grad():
            results = self._results(inputs)
        return [name for name, outputs in zip(FOLLOWERS, results, strict=True) for _ in outputs]

    def _results(self, inputs: Sequence[Tensors]) -> list[Tensors]:
        results = [
            follow(op(*given[:-1]), given[-1], limits)
            for follow, op, given, limits in zip(
                FOLLOWERS.values(), self.ops, inputs, self.limits, strict=True
            )
        ]
        return [(result,) if isinstance(result, Tensor) else result for result in results]
