"""Ops that are quantised in parts: the integers against PyTorch's floats."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tosaic

SHAPE = (2, 3, 8)


def _away_from_zero(x: Tensor) -> Tensor:
    return x + torch.where(x < 0, -0.1, 0.1)


# Values from -2 to 2 and from 0.5 to 1.5.
DATA = [
    (
        _away_from_zero(torch.rand(SHAPE, generator=torch.Generator().manual_seed(n)) * 4 - 2),
        torch.rand(SHAPE, generator=torch.Generator().manual_seed(100 + n)) + 0.5,
    )
    for n in range(8)
]
BOUNDARIES = torch.tensor([-1.0, 0.1, 0.9])
# name → (function, steps of the output's scale that the result may be off by)
CASES: dict[str, tuple[Callable[[Tensor, Tensor], Any], float]] = {
    "clamp_tensor": (lambda x, y: torch.clamp(x, -y, y), 2),
    "addcmul": (lambda x, y: torch.addcmul(x, x, y, value=0.5), 3),
    "addcdiv": (lambda x, y: torch.addcdiv(x, x, y, value=2), 4),
    "lerp": (lambda x, y: torch.lerp(x, y, 0.3), 3),
    "lerp_tensor": (lambda x, y: torch.lerp(x, y, y / 2), 4),
    "hypot": (torch.hypot, 4),
    "copysign": (lambda x, y: torch.copysign(y, x), 2),
    "xlogy": (torch.xlogy, 4),
    "logaddexp": (torch.logaddexp, 3),
    "logaddexp2": (torch.logaddexp2, 4),
    "var_mean": (lambda x, y: torch.var_mean(x, -1), 4),
    "std_mean": (lambda x, y: torch.std_mean(x, (1, 2), correction=0, keepdim=True), 4),
    "norm_of_order_3": (lambda x, y: torch.linalg.vector_norm(x, 3, -1), 4),
    "prod": (lambda x, y: y.prod(-1), 8),
    "prod_of_all": (lambda x, y: y[0, 0, :5].prod(), 6),
    "cumprod": (lambda x, y: y.cumprod(1), 4),
    "safe_softmax": (lambda x, y: torch.ops.aten._safe_softmax(x, -1), 2),
    "addmm": (lambda x, y: torch.addmm(x[0, :, :3], x[1], y[1].mT, beta=0.5, alpha=2), 4),
    "pow": (lambda x, y: y**2.6, 2),
    "pow_of_a_root": (lambda x, y: x.abs() ** (1 / 3), 4),
    "lp_pool": (lambda x, y: F.lp_pool1d(x.abs(), 3.0, 2), 8),
    "local_response_norm": (lambda x, y: F.local_response_norm(x, 3), 4),
    "affine_grid": (lambda x, y: F.affine_grid(x[:, :2, :3], (2, 1, 3, 4), False), 3),
}
# Of truth values and whole numbers, all but those next to a limit are exact.
EXACT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "floor_divide": lambda x, y: (x + 0.01) // 0.75,
    "div_trunc": lambda x, y: torch.div(x, 0.8, rounding_mode="trunc"),
    "heaviside": lambda x, y: torch.heaviside(x, y[:1, :1]),
    "isclose": lambda x, y: torch.isclose(x, y, atol=0.5),
    "signbit": lambda x, y: torch.signbit(x),
    "isfinite": lambda x, y: torch.isfinite(x),
    "isnan": lambda x, y: torch.isnan(x) | torch.isinf(y) | torch.isneginf(x),
    "logical": lambda x, y: torch.logical_and(F.relu(x), y) ^ torch.logical_not(F.relu(-x)),
    "any": lambda x, y: F.relu(x - 1.9).any(-1),
    "all": lambda x, y: F.relu(x + 1).all(-1, keepdim=True),
    "count_nonzero": lambda x, y: F.relu(x).count_nonzero(-1),
    "bucketize": lambda x, y: torch.bucketize(x, BOUNDARIES),
    "searchsorted": lambda x, y: torch.searchsorted(BOUNDARIES, x, side="right"),
}


class _Model(nn.Module):
    def __init__(self, function: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, y: Tensor) -> Any:
        return self.function(x, y)


def compiled(function: Callable[[Tensor, Tensor], Any]) -> tosaic.CompiledProgram:
    return tosaic.compile(_Model(function).eval(), DATA[0], quantize="int8", calibration=DATA)


@pytest.mark.parametrize("name", CASES)
def test_numbers(name: str) -> None:
    function, steps = CASES[name]
    program = compiled(function)
    for x, y in DATA:
        wanted = function(x, y)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        for info, a, b in zip(program.manifest.outputs, program.run(x, y), wanted, strict=True):
            assert info.scale is not None
            np.testing.assert_allclose(a, b.numpy(), rtol=0, atol=steps * info.scale)


@pytest.mark.parametrize("name", EXACT)
def test_whole_numbers(name: str) -> None:
    function = EXACT[name]
    program = compiled(function)
    for x, y in DATA:
        (found,) = program.run(x, y)
        wanted = function(x, y).float().numpy()
        assert (np.abs(found.astype(np.float32) - wanted) < 0.5).mean() > 0.8


def test_of_integers_they_stay_as_they_are() -> None:
    def function(x: Tensor, y: Tensor) -> Tensor:
        place = (x.argmax(-1) + 1) % 3
        return torch.where(place.bool().any(), x, y)

    program = compiled(function)
    for x, y in DATA:
        assert program.run(x, y)[0].shape == SHAPE
