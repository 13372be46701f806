"""Two ways to write one thing have one normal form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tosaic.frontend import export_model
from tosaic.frontend.normal import normalize
from tosaic.quantizer.parts import to_parts

aten = torch.ops.aten
X = torch.randn(1, 6, 4, 4, generator=torch.Generator().manual_seed(0)) * 3


class _Model(nn.Module):
    def __init__(self, fn: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Any:
        return self.fn(x)


def called(fn: Callable[[Tensor], Tensor], *, core: bool = False) -> list[str]:
    """Return the ops of the form that is quantised, which computes what `fn` does."""
    program = torch.export.export(_Model(fn).eval(), (X,))
    program = program.run_decompositions() if core else program
    model = to_parts(normalize(program).module(check_guards=False))
    torch.testing.assert_close(model(X), fn(X))
    return [str(n.target) for n in model.graph.nodes if n.op == "call_function"]


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x.clamp(min=-1).clamp(max=2),
        lambda x: x.clamp(-1, 2).clamp(-3, 3),
        lambda x: x.clamp(-1, 2).clamp(3, 4),
        lambda x: x.clamp(-1, 2).clamp(max=-2),
        lambda x: x.clamp(min=1).clamp(min=2),
    ],
    ids=["both_sides", "wider", "above", "below", "one_side"],
)
def test_limits_of_limits(fn: Callable[[Tensor], Tensor]) -> None:
    assert called(fn) == ["aten.clamp.default"]


def test_limits_out_of_order_stay() -> None:
    assert len(called(lambda x: x.clamp(2, 1).clamp(-1, 3))) == 2


def test_hard_swish_in_core_aten() -> None:
    assert called(F.hardswish, core=True) == ["aten.hardswish.default"]


def test_an_instance_norm_in_core_aten_is_a_group_norm() -> None:
    assert called(F.instance_norm, core=True) == ["aten.group_norm.default"]


def test_a_number_less_a_tensor() -> None:
    assert called(lambda x: 1 - x) == called(lambda x: torch.sub(1, x)) == ["aten.rsub.Scalar"]
    assert called(lambda x: 1 - x, core=True) == ["aten.rsub.Scalar"]


def test_a_sum_with_a_number_hides_no_scores() -> None:
    ops = called(lambda x: F.softmax(x + (1.0 - x), -1), core=True)
    assert ops[-1] == "aten.softmax.int"


def test_rolled_rows_are_slices() -> None:
    expected = called(lambda x: torch.cat([x[:, 4:], x[:, :4]], 1))
    assert called(lambda x: x.roll(2, 1), core=True) == expected


def test_uninitialized_memory_is_zeros_each_time() -> None:
    def made(x: Tensor) -> tuple[Tensor, ...]:
        return (
            torch.empty(3, dtype=torch.float64),
            torch.empty_like(x, memory_format=torch.contiguous_format),
            x.new_empty((2, 2), dtype=torch.int32),
            torch.empty_strided((2, 3), (3, 1)),
            torch.empty(4).fill_(2.0) + x,
        )

    class Made(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            return made(x)

    x = torch.rand(4)
    *empty, filled = export_model(Made().eval(), (x,)).module()(x)
    assert [(v.dtype, tuple(v.shape), int(v.count_nonzero())) for v in empty] == [
        (torch.float64, (3,), 0),
        (torch.float32, (4,), 0),
        (torch.int32, (2, 2), 0),
        (torch.float32, (2, 3), 0),
    ]
    torch.testing.assert_close(filled, x + 2)
