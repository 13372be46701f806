"""What a graph computes from constants is a constant in the normal form."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tosaic.frontend.normal import normalize

aten = torch.ops.aten
X = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))


class _Model(nn.Module):
    def __init__(self, fn: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.fn = fn
        self.register_buffer("table", torch.arange(24.0).reshape(6, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x, self.table)


def _normalized(fn: Callable[[Tensor, Tensor], Tensor]) -> tuple[list[object], Tensor, Tensor]:
    """Return what is called in the normal form, and the results before and after."""
    model = _Model(fn).eval()
    program = normalize(torch.export.export(model, (X,)))
    called = [n.target for n in program.graph.nodes if n.op == "call_function"]
    return called, model(X), program.module(check_guards=False)(X)


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
    called, expected, result = _normalized(fn)
    assert called == [aten.add.Tensor]
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_a_large_tensor_of_small_ones_is_not_stored() -> None:
    def fn(x: Tensor, t: Tensor) -> Tensor:
        return x[:1, :, :1] * torch.ones(2000, 1, 700).exp()

    called, expected, result = _normalized(fn)
    assert called.count(aten.mul.Tensor) == 1
    program = normalize(torch.export.export(_Model(fn).eval(), (X,)))
    assert max(v.numel() for v in program.state_dict.values()) < 2000 * 700
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_random_numbers_are_drawn_each_time() -> None:
    called, *_ = _normalized(lambda x, t: x + torch.rand(4))
    assert aten.rand.default in called


def test_what_the_input_writes_is_not_constant() -> None:
    called, expected, result = _normalized(lambda x, t: x + torch.zeros(6, 4).copy_(x[0]))
    assert called
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_a_view_of_a_weight_is_a_weight() -> None:
    called, expected, result = _normalized(lambda x, t: x @ t.t())
    assert called == [aten.linear.default]
    torch.testing.assert_close(result, expected)


def test_what_is_read_between_two_writes_is_not_the_last() -> None:
    def fn(x: Tensor, t: Tensor) -> Tensor:
        state = torch.zeros(4)
        state.add_(1)
        first = x + state
        state.add_(1)
        return first * state

    _, expected, result = _normalized(fn)
    torch.testing.assert_close(result, expected, rtol=0, atol=0)
