"""Modules of pairs: an op of a kind, and what follows it. Many pairs are outputs of one module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from op_cases import Case
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
    """`kinds` each followed by `followers`; every pair has its own module and its own inputs."""

    def __init__(
        self, kinds: Sequence[Case], followers: Sequence[str], seeded: Callable[..., nn.Module]
    ) -> None:
        super().__init__()
        self.names = [(case.name, follower) for case in kinds for follower in followers]
        self.followers = [FOLLOWERS[name] for _, name in self.names]
        self.ops = nn.ModuleList(seeded(case) for case in kinds for _ in followers)
        self.limits: list[Limits] = []
        self.takes: list[int] = []

    def bind(self, inputs: Sequence[Tensors]) -> None:
        """Learn from `inputs` of each pair how many there are, and the limits of the results."""
        for op, given in zip(self.ops, inputs, strict=True):
            with torch.no_grad():
                self.limits.append(Limits.of(op(*given[:-1])))
            self.takes.append(len(given))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs: list[Tensor] = []
        for op, follow, takes, limits in zip(
            self.ops, self.followers, self.takes, self.limits, strict=True
        ):
            given, inputs = inputs[:takes], inputs[takes:]
            result = follow(op(*given[:-1]), given[-1], limits)
            outputs += [result] if isinstance(result, Tensor) else result
        return tuple(outputs)

    def labels(self, inputs: Sequence[Tensors]) -> list[tuple[str, str]]:
        """Return the kind and a name for each output; `inputs` are of each pair."""
        out = []
        for (kind, follower), op, follow, given, limits in zip(
            self.names, self.ops, self.followers, inputs, self.limits, strict=True
        ):
            with torch.no_grad():
                result = follow(op(*given[:-1]), given[-1], limits)
            count = 1 if isinstance(result, Tensor) else len(result)
            out += [(kind, follower if count == 1 else f"{follower}[{n}]") for n in range(count)]
        return out
