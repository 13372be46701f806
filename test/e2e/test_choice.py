"""Comparisons, choices and masked softmax in integers, against PT2E's fake-quantised graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import tosaic
from support.nets import Calls
from tosaic.quantizer import TosaQuantizer, quantize
from tosaic.quantizer.recipe import find_recipe

CASES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "ne": lambda x, y: x != y,
    "gt_constant": lambda x, y: x > 0.3,
    "le_constant": lambda x, y: x <= 0.25,
    "eq_zero": lambda x, y: F.relu(x) == 0,
    "lt_infinity": lambda x, y: x < float("inf"),
    "argmax": lambda x, y: F.relu(x).argmax(1),
    "argmin": lambda x, y: (x + y).argmin(-1),
    "where": lambda x, y: torch.where(x > y, x, y * 2),
    "where_number": lambda x, y: torch.where(x > 0, x, 0.5),
    "masked_fill": lambda x, y: (x * 2).masked_fill(y < 0, -3.0),
    "counted": lambda x, y: (x > 0).float().sum(-1),
    "gated": lambda x, y: (x > 0).float() * y,
}


def _samples() -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    return [(torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)) for _ in range(4)]


@pytest.mark.parametrize("recipe", ["int8", "a16w8"])
@pytest.mark.parametrize("name", CASES)
def test_equals_fake_quant(name: str, recipe: str) -> None:
    samples = _samples()
    quantizer = TosaQuantizer(find_recipe(recipe))
    program = quantize(Calls(CASES[name]).eval(), samples[0], samples, quantizer=quantizer)
    compiled = tosaic.compile(program, target="tosa-1.0-int")
    for inputs in samples[:2]:
        expected = program.module()(*inputs).numpy()
        for executor in ("jit", "reference"):
            (result,) = compiled.run(*inputs, executor=executor)
            step = compiled.manifest.outputs[0].scale or 0
            difference = result.astype(np.float64) - expected.astype(np.float64)
            assert np.abs(difference).max() <= 0.01 * step


_LATER = torch.ones(8, 8, dtype=torch.bool).triu(1)
MASKED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "fill": lambda x, y: F.softmax(x.masked_fill(_LATER, float("-inf")), -1),
    "where": lambda x, y: F.softmax(torch.where(~_LATER, x, -1e9), -1),
    "sum": lambda x, y: F.softmax(x + torch.full((8, 8), float("-inf")).triu(1), -1),
}


@pytest.mark.parametrize("name", MASKED)
def test_masked_softmax(name: str) -> None:
    """What is masked takes no part of the range: about 43 dB, 10 where it does."""
    samples = _samples()
    compiled = tosaic.compile(
        Calls(MASKED[name]).eval(), samples[0], quantize="int8", calibration=samples
    )
    expected = MASKED[name](*samples[0]).numpy()
    (result,) = compiled.run(*samples[0])
    noise = ((result - expected) ** 2).mean()
    assert 10 * np.log10(expected.var() / noise) > 40
    assert not result[..., _LATER.numpy()].any()


def test_devices_without_booleans() -> None:
    """U55 computes choices in arithmetic, U85 by SELECT: bit for bit the same."""

    class Chooses(torch.nn.Module):
        def forward(self, x: Tensor, y: Tensor, given: Tensor) -> tuple[Tensor, ...]:
            greater, some = x > y, (x >= 0.25) | (y == 0)
            chosen = (greater & some) ^ given
            mixed = torch.where(chosen.any(1, keepdim=True) & ~chosen.all(1, keepdim=True), x, y)
            return mixed.masked_fill(chosen, 0.5), chosen.float().sum(-1), ~chosen

    generator = torch.Generator().manual_seed(0)
    data = [
        (
            torch.randn(2, 4, 8, generator=generator),
            torch.randn(2, 4, 8, generator=generator),
            torch.rand(2, 4, 8, generator=generator) > 0.5,
        )
        for _ in range(8)
    ]
    small, large = (
        tosaic.compile(Chooses().eval(), data[0], target=t, quantize="int8", calibration=data)
        for t in ("ethos-u55-128", "ethos-u85-256")
    )
    assert [i.dtype for i in small.manifest.inputs] == ["int8", "int8", "int8"]
    assert [i.dtype for i in large.manifest.inputs] == ["int8", "int8", "bool"]
    for inputs in data:
        for a, b in zip(small.run(*inputs), large.run(*inputs), strict=True):
            np.testing.assert_array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32))
