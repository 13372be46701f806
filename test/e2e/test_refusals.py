"""What cannot be compiled is refused in one paragraph: the op, the user's line, why, a way out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import tosaic
from support.nets import Calls
from tosaic.errors import TosaicError

X = torch.linspace(-1, 1, 12).reshape(3, 4)
INDEX = torch.arange(12).reshape(3, 4)


def _refusal(fn: Callable[..., Any], *inputs: Tensor) -> str:
    with pytest.raises(TosaicError) as caught:
        tosaic.compile(Calls(fn), inputs, target="tosa-1.0-int+fp")
    return str(caught.value)


def _check(message: str, fn: Callable[..., Any], op: str, reason: str, way_out: str) -> None:
    """The line is checked too where the function is written in this file."""
    assert op in message
    if inspect.isfunction(fn) and fn.__code__.co_filename == __file__:
        lines = {line for _, _, line in fn.__code__.co_lines() if line}
        assert any(f"test_refusals.py:{line}" in message for line in lines), (lines, message)
    assert reason in message
    assert way_out in message


RANDOM: dict[str, Callable[[Tensor], Tensor]] = {
    "rand": lambda x: x + torch.rand(4),
    "rand_like": torch.rand_like,
    "randn": lambda x: x + torch.randn(4),
    "randn_like": torch.randn_like,
    "randint": lambda x: x + torch.randint(3, (4,)),
    "randint_like": lambda x: torch.randint_like(x, 3),
    "randperm": lambda x: x[torch.randperm(3)],
    "bernoulli": lambda x: torch.bernoulli(x.abs()),
    "multinomial": lambda x: torch.multinomial(x.abs(), 2),
    "normal": lambda x: torch.normal(x, 1.0),
    "uniform": lambda x: (x + 1).uniform_(),
    "exponential": lambda x: (x + 1).exponential_(),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.5, True),
    "feature_dropout": lambda x: F.dropout1d(x, 0.5, True),
}


@pytest.mark.parametrize("op", RANDOM)
def test_random_numbers(op: str) -> None:
    fn = RANDOM[op]
    _check(_refusal(fn, X), fn, op, "it draws random numbers", "pass the numbers in as an input")


@pytest.mark.parametrize(
    ("op", "fn"),
    [
        ("dropout", lambda x: F.dropout(x, 0.5, True)),
        ("rrelu", lambda x: F.rrelu(x, training=True)),
    ],
)
def test_training(op: str, fn: Callable[..., Any]) -> None:
    _check(_refusal(fn, X), fn, op, "it is in training mode", "call model.eval()")


@pytest.mark.parametrize(
    ("op", "fn", "way_out"),
    [
        ("nonzero", lambda x: x.nonzero(), "use torch.where"),
        ("masked_select", lambda x: x.masked_select(x > 0), "use torch.where"),
        ("index", lambda x: x[x > 0], "use torch.where"),
        ("unique", lambda x: x.unique(), "use torch.where"),
        ("", lambda x: x if x.sum() > 0 else -x, "use torch.where"),
        ("", lambda x: x[: int(x.sum())], "use torch.where"),
    ],
)
def test_shapes_and_branches_that_depend_on_data(
    op: str, fn: Callable[..., Any], way_out: str
) -> None:
    message = _refusal(fn, X)
    assert op in message
    assert "test_refusals.py:" in message
    assert "known only when" in message or "data-dependent" in message
    assert way_out in message


@pytest.mark.parametrize(
    ("op", "fn", "given", "way_out"),
    [
        ("mul", lambda x: x * 2j, X, "as two real tensors"),
        ("to", lambda x: x.to(torch.complex128), X, "as two real tensors"),
        ("abs", lambda x: x.abs(), X.to(torch.complex64), "torch.view_as_real"),
        ("complex", lambda x: torch.complex(x, x), X, "torch.view_as_real"),
        ("tanh", lambda x: torch.complex(x, x).tanh().abs(), X, "torch.view_as_real"),
    ],
)
def test_complex(op: str, fn: Callable[..., Any], given: Tensor, way_out: str) -> None:
    _check(_refusal(fn, given), fn, op, "complex", way_out)


@pytest.mark.parametrize(
    ("op", "fn", "given", "parts"),
    [
        ("to", lambda x: x.to(torch.uint16), INDEX, ["torch.uint16", "Convert it"]),
        (
            "exp",
            lambda x: x.reshape(1, 3, 1, 2, 1, 2, 1).exp(),
            X,
            ["MAX_RANK", "merge some with reshape"],
        ),
        (
            "to",
            lambda x: x.long() * 2,
            X,
            ["the range of the int64 result", "torch.clamp"],
        ),
        (
            "floor_divide",
            lambda x: x // 0,
            INDEX,
            ["divides integers by zero", "convert to float"],
        ),
        (
            "linalg_svd",
            lambda x: torch.linalg.svd(x)[1],
            X,
            ["has no lowering", "Rewrite the model without it"],
        ),
    ],
    ids=["type", "too many dims", "leaves int32", "integers by zero", "no lowering"],
)
def test_single_ops(op: str, fn: Callable[..., Any], given: Tensor, parts: list[str]) -> None:
    _check(_refusal(fn, given), fn, op, *parts)
