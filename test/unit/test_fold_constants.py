"""What a graph computes from constants is a constant before it is quantised."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tosaic.quantizer.fold_constants import fold_constants

aten = torch.ops.aten
X = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))


class _Model(nn.Module):
    def __init__(self, fn: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.fn = fn
        self.register_buffer("table", torch.arange(24.0).reshape(6, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x, self.table)


def _folded(fn: Callable[[Tensor, Tensor], Tensor]) -> tuple[list[object], Tensor, Tensor]:
    """Return what is still called after folding, and the results before and after."""
    model = _Model(fn).eval()
    graph = torch.export.export(model, (X,)).module()
    folded = fold_constants(graph)
    calls = [n.target for n in folded.graph.nodes if n.op == "call_function"]
    return calls, model(X), folded(X)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, t: x + torch.arange(6.0)[:, None].sin(),
        lambda x, t: x + t.exp().flip(0),
        lambda x, t: x + x.new_ones(6, 4).cumsum(0),
        lambda x, t: x + torch.zeros_like(x).add_(t),
    ],
    ids=["positions", "of_a_buffer", "of_a_shape", "written"],
)
def test_one_addition_is_left(fn: Callable[[Tensor, Tensor], Tensor]) -> None:
    calls, expected, result = _folded(fn)
    assert [c for c in calls if "assert" not in str(c)] == [aten.add.Tensor]
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("fn", "kept"),
    [
        (lambda x, t: x + torch.rand(4), aten.rand.default),
        (lambda x, t: x + torch.zeros(6, 4).copy_(x[0]), aten.copy_.default),
        (lambda x, t: x[:1, :, :1] * torch.ones(2000, 1, 700).exp(), aten.exp.default),
        (lambda x, t: x @ t.t(), aten.t.default),
    ],
    ids=["random", "written_by_the_input", "large", "parameter"],
)
def test_stays(fn: Callable[[Tensor, Tensor], Tensor], kept: object) -> None:
    calls, expected, result = _folded(fn)
    assert kept in calls
    if kept is not aten.rand.default:
        torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_what_is_read_between_two_writes_is_not_the_last() -> None:
    def fn(x: Tensor, t: Tensor) -> Tensor:
        state = torch.zeros(4)
        state.add_(1)
        first = x + state
        state.add_(1)
        return first * state

    _, expected, result = _folded(fn)
    torch.testing.assert_close(result, expected, rtol=0, atol=0)
