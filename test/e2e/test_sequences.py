"""Nets over time, whose tensors are [N, C, T] while their convolutions are [N, 1, T, C]."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tosaic


class Causal(nn.Module):
    """A temporal convolutional net: dilated, padded on the left, residual."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(8, 16, 3)
        self.convs = nn.ModuleList([nn.Conv1d(16, 16, 3, dilation=2**n) for n in (1, 2)])
        self.last = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(F.pad(x, (2, 0))))
        for n, conv in enumerate(self.convs):
            x = x + F.relu(conv(F.pad(x, (2 ** (n + 2), 0))))
        return self.last(x[:, :, -1])


class Pooled(nn.Module):
    """Separable convolutions, then the mean (or the maximum) of every channel over time."""

    def __init__(self, maximum: bool) -> None:
        super().__init__()
        self.deep = nn.Conv1d(8, 8, 5, padding=2, groups=8)
        self.point = nn.Conv1d(8, 16, 1)
        self.maximum = maximum

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.point(self.deep(x)))
        return y.amax(-1) if self.maximum else y.mean(-1)


@pytest.mark.parametrize(
    "model", [Causal(), Pooled(False), Pooled(True)], ids=["causal", "mean", "maximum"]
)
def test_only_the_input_is_transposed(model: nn.Module) -> None:
    data = torch.randn(4, 1, 8, 32, generator=torch.Generator().manual_seed(0))
    program = tosaic.compile(
        model.eval(), (data[0],), target="tosa-1.0-int", quantize="int8", calibration=list(data)
    )
    assert str(program.module).count("tosa.transpose ") == 1
    expected = model(data[0]).detach()
    (result,) = program.run(data[0])
    assert abs(torch.from_numpy(result) - expected).max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("size", [4, 5, 8])
def test_long_strides_of_average_pools(size: int) -> None:
    data = torch.randn(2, 1, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.AvgPool2d(size)).eval()
    results = [
        tosaic.compile(
            model, (data[0],), target=target, quantize="int8", calibration=list(data)
        ).run(data[0])[0]
        for target in ("tosa-1.0-int", "ethos-u55-128")
    ]
    torch.testing.assert_close(*map(torch.from_numpy, results), rtol=0, atol=0)
