"""Masks that are not provably "never": softmax of scores with them loses little to a masked one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tosaic

MASKS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "inverted": lambda x, m: x + (1 - m) * -1e9,
    "lowest": lambda x, m: x + (1 - m) * torch.finfo(torch.float32).min,
    "small": lambda x, m: x + (1 - m) * -30.0,
    "moved": lambda x, m: x + ((1 - m) * -1e4).expand_as(x).reshape(x.shape),
    "before scaling": lambda x, m: (2 * x + (1 - m) * -1e9) / 2,
}


class Attends(nn.Module):
    def __init__(self, masked: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.masked = nn.Linear(16, 16), masked

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.masked(self.layer(x), mask[:, None]).softmax(-1)


def inputs(seed: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.ones(2, 16)
    mask[0, 10 + seed % 5 :] = 0
    mask[1, 5:] = 0
    return 3 * torch.randn(2, 16, 16, generator=rng), mask


def decibels(masked: Callable[[Tensor, Tensor], Tensor]) -> float:
    model, data = Attends(masked).eval(), [inputs(seed) for seed in range(16)]
    program = tosaic.compile(model, data[0], quantize="int8", calibration=data[:8])
    given = np.stack([program.run(*x)[0] for x in data[8:]])
    real = np.stack([model(*x).detach().numpy() for x in data[8:]])
    return float(
        10 * np.log10(np.square(real - real.mean(0)).sum() / np.square(given - real).sum())
    )


@pytest.fixture(scope="module")
def anchor() -> float:
    return decibels(lambda x, m: x.masked_fill(m == 0, -torch.inf))


@pytest.mark.parametrize("name", MASKS)
def test_what_softmax_cannot_see_sets_no_scale(name: str, anchor: float) -> None:
    # The sum is rounded once more, and its range has room for what is hidden.
    assert decibels(MASKS[name]) > anchor - 3
