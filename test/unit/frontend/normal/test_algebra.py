"""Arithmetic in one form, and equal expressions once; what only looks alike stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from support.normal_form import normalized, ops_of

X = torch.rand(3, 4) + 0.5


@pytest.mark.parametrize(
    ("function", "ops"),
    [
        (lambda x: x**2, ["mul.Tensor"]),
        (lambda x: x.square(), ["mul.Tensor"]),
        (lambda x: x**0.5, ["sqrt.default"]),
        (lambda x: 1 / x.sqrt(), ["rsqrt.default"]),
        (lambda x: x**-1, ["reciprocal.default"]),
        (lambda x: x**3, ["pow.Tensor_Scalar"]),
        (lambda x: x.sum(-1) / 4, ["mean.dim"]),
        (lambda x: x.sum(-1) / 3, ["div.Tensor", "sum.dim_IntList"]),
        (lambda x: x.mean(-1).unsqueeze(-1), ["mean.dim"]),
        (lambda x: x.mean(-1).unsqueeze(0), ["mean.dim", "reshape.default"]),
        (lambda x: x * 2 * 3, ["mul.Tensor"]),
        (lambda x: x - (-x.sin()), ["add.Tensor", "sin.default"]),
        (lambda x: ~(x > 1), ["gt.Scalar", "logical_not.default"]),
        (lambda x: torch.where(~(x > 1), x, 0.0), ["gt.Scalar", "where.ScalarSelf"]),
        (lambda x: x.var(-1, unbiased=False), ["var.correction"]),
    ],
)
def test_one_form(function: Callable[..., Any], ops: list[str]) -> None:
    assert sorted(ops_of(normalized(function, X)).elements()) == ops


def test_equal_expressions_are_computed_once() -> None:
    ops = ops_of(normalized(lambda x: x.sin() + x.sin() * x.cos(), X))
    assert ops["sin.default"] == 1


def test_arguments_of_another_type_are_not_equal() -> None:
    ints = torch.arange(4)
    ops = ops_of(normalized(lambda x: (x + 1, x + 1.0, x + True), ints))
    assert ops["add.Tensor"] == 3


def test_random_numbers_are_drawn_each_time() -> None:
    from support.normal_form import exported, graph_of
    from tosaic.frontend.normal import normalize

    def draws(x: torch.Tensor) -> torch.Tensor:
        return torch.rand_like(x) - torch.rand_like(x) + F.dropout(x, 0.5) - F.dropout(x, 0.5)

    ops = ops_of(graph_of(normalize(exported(draws, X))))
    assert ops["rand_like.default"] == ops["dropout.default"] == 2
