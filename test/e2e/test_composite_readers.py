"""Composites in programs quantised elsewhere: clamped, moved, read in several ways at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchao.quantization.pt2e  # noqa: F401  (defines the quantize and dequantize ops)
from torch import Tensor, nn

import tosaic

DECOMPOSED = torch.ops.quantized_decomposed
X = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)) * 3


def rounded(x: Tensor, scale: float, zero: int = 0) -> Tensor:
    """Return `x` quantised to int8 and back."""
    given = (scale, zero, -128, 127, torch.int8)
    return DECOMPOSED.dequantize_per_tensor(DECOMPOSED.quantize_per_tensor(x, *given), *given)


class Of(nn.Module):
    def __init__(self, fn: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.fn(rounded(x, 0.07))


def compared(
    fn: Callable[[Tensor], tuple[Tensor, ...]], target: str = "tosa-1.0-int"
) -> tuple[tosaic.CompiledProgram, list[float]]:
    """Return the program of `fn` and how far each output is from PyTorch's, in its steps."""
    model = Of(fn)
    program = tosaic.compile(torch.export.export(model, (X,)), target=target)
    wanted = model(X)
    steps = [info.scale or 1e-6 for info in program.manifest.outputs]
    got = program.run(X)
    off = [np.abs(g - w.numpy()).max() / s for g, w, s in zip(got, wanted, steps, strict=True)]
    return program, [float(value) for value in off]


def norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, (8,))


@pytest.mark.parametrize("op", [norm, lambda x: torch.softmax(x, -1), lambda x: x.cumsum(1)])
def test_readers_of_other_parameters(op: Callable[[Tensor], Tensor]) -> None:
    def fn(x: Tensor) -> tuple[Tensor, ...]:
        y = op(x)
        return rounded(y, 0.05), rounded(y, 0.01, -128), rounded(F.relu(y), 0.02)

    assert max(compared(fn)[1]) < 1.01


def test_a_clamp_with_readers_of_other_parameters() -> None:
    def fn(x: Tensor) -> tuple[Tensor, ...]:
        y = norm(x).clamp(-1.0, 1.5)
        return rounded(y, 0.05), rounded(F.relu(y), 0.01, -128)

    assert max(compared(fn)[1]) < 1.01


def test_what_is_moved_before_it_is_quantised() -> None:
    def fn(x: Tensor) -> tuple[Tensor, ...]:
        y = norm(x).reshape(2, 12)
        return rounded(y.transpose(0, 1), 0.05), rounded(F.relu6(y[:, 3:]), 0.02)

    assert max(compared(fn)[1]) < 1.01


def test_a_reader_in_float_is_served_in_float() -> None:
    def fn(x: Tensor) -> tuple[Tensor, ...]:
        y = torch.softmax(x, -1)
        return rounded(y, 1 / 256, -128), torch.sin(y)

    program, off = compared(fn, "tosa-1.0-int+fp")
    assert off[0] < 1.01 and off[1] < 10  # of which a step is 1e-6
    assert {"SIN", "TABLE"} <= program.report.operators.keys()
    with pytest.raises(tosaic.TosaicError, match="would run in float"):
        compared(fn)
