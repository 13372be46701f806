"""NaN, infinities, signed zeros, ties and huge or tiny numbers give what PyTorch gives."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import tosaic

NAN, INF = math.nan, math.inf
SPECIAL = torch.tensor(
    [NAN, INF, -INF, 0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1.0, -1.0, 1e-6, -1e-6, 3e4, -3e4, 7.0]
)
Function = Callable[..., Tensor]


class Many(torch.nn.Module):
    """Several functions of the same inputs."""

    def __init__(self, functions: list[Function]) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(fn(*inputs) for fn in self.functions)


# Where the sign of a zero result must be right too.
SIGNED_ZERO: dict[str, Function] = {
    "round": torch.round,
    "trunc": torch.trunc,
    "expm1": torch.expm1,
    "sinh": torch.sinh,
    "copysign_one": lambda x: torch.copysign(torch.ones_like(x), x),
}
UNARY: dict[str, Function] = {
    **SIGNED_ZERO,
    "round_decimals": lambda x: torch.round(x, decimals=1),
    "frac": torch.frac,
    "sign": torch.sign,
    "sgn": torch.sgn,
    "square": torch.square,
    "exp2": torch.exp2,
    "log2": torch.log2,
    "log10": torch.log10,
    "log1p": torch.log1p,
    "tan": lambda x: torch.tan(torch.where(x.abs() > 100, 1.0, x)),
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "cosh": torch.cosh,
    "asinh": torch.asinh,
    "acosh": torch.acosh,
    "atanh": torch.atanh,
    "erfc": torch.erfc,
    "erfinv": torch.erfinv,
    "logit": torch.logit,
    "logit_eps": lambda x: torch.logit(x, 1e-3),
    "mish": F.mish,
    "selu": F.selu,
    "celu": F.celu,
    "softplus": F.softplus,
    "softshrink": F.softshrink,
    "hardshrink": F.hardshrink,
    "threshold": lambda x: F.threshold(x, 0.1, 20.0),
    "log_sigmoid": F.logsigmoid,
    "nan_to_num": torch.nan_to_num,
    "nan_to_num_values": lambda x: torch.nan_to_num(x, 1.0, 2.0, -3.0),
    "isnan": torch.isnan,
    "isinf": torch.isinf,
    "isfinite": torch.isfinite,
    "isposinf": torch.isposinf,
    "isneginf": torch.isneginf,
    "signbit": lambda x: torch.signbit(torch.where(x.isnan(), 1.0, x)),
    "logical_not": torch.logical_not,
    "clamp_min": lambda x: torch.clamp_min(x, 0.3),
    "floor_divide_number": lambda x: x // 0.7,
    "remainder_number": lambda x: x % 0.7,
    "pow_of_two": lambda x: torch.pow(2.0, x),
    "eq_number": lambda x: x == 0,
    "ne_number": lambda x: x != 1,
    "where": lambda x: torch.where(x > 0, x, -x),
}
BINARY: dict[str, Function] = {
    "floor_divide": torch.floor_divide,
    "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "pow": torch.pow,
    "atan2": lambda x, y: torch.atan2(x, torch.where(y.isnan(), 1.0, y)),
    "hypot": torch.hypot,
    "fmax": torch.fmax,
    "fmin": torch.fmin,
    "max": torch.max,
    "min": torch.min,
    "lt": torch.lt,
    "ge": torch.ge,
    "ne": torch.ne,
    "logical_and": torch.logical_and,
    "logical_xor": torch.logical_xor,
    "copysign": lambda x, y: torch.copysign(x, torch.where(y.isnan(), 1.0, y)),
    "heaviside": torch.heaviside,
    "xlogy": torch.xlogy,
    "logaddexp": torch.logaddexp,
    "lerp": lambda x, y: torch.lerp(x, y, 0.3),
    "clamp_tensor": torch.clamp_min,
    "isclose": lambda x, y: torch.isclose(x, y, equal_nan=True),
}


def _check(functions: dict[str, Function], inputs: tuple[Tensor, ...], executor: str) -> None:
    model = Many(list(functions.values())).eval()
    program = tosaic.compile(model, inputs, target="tosa-1.0-fp")
    results = program.run(*inputs, executor=executor)
    wrong = []
    for name, result, expected in zip(functions, results, model(*inputs), strict=True):
        want = expected.numpy()
        same = np.isclose(result, want, rtol=1e-5, atol=0, equal_nan=True)
        if name in SIGNED_ZERO:
            same &= np.isnan(want) | (np.signbit(result) == np.signbit(want))
        if not same.all():
            given = [tuple(float(x[n]) for x in inputs) for n in np.flatnonzero(~same)]
            wrong.append(f"{name}{given}: {result[~same]}, PyTorch {want[~same]}")
    assert not wrong, "\n".join(wrong)


def _pairs() -> tuple[Tensor, ...]:
    return tuple(x.flatten() for x in torch.meshgrid(SPECIAL, SPECIAL, indexing="ij"))


@pytest.mark.parametrize("executor", ["reference", "runtime"])
def test_unary(executor: str) -> None:
    _check(UNARY, (SPECIAL,), executor)


@pytest.mark.parametrize("executor", ["reference", "runtime"])
def test_binary(executor: str) -> None:
    _check(BINARY, _pairs(), executor)


# One program each: the JIT dies of one that has them all.
@pytest.mark.parametrize("name", UNARY)
def test_unary_jit(name: str) -> None:
    _check({name: UNARY[name]}, (SPECIAL,), "jit")


@pytest.mark.parametrize("name", BINARY)
def test_binary_jit(name: str) -> None:
    _check({name: BINARY[name]}, _pairs(), "jit")


def test_quotients_at_whole_numbers() -> None:
    """Floor and remainder of numbers that divide exactly, or all but."""
    torch.manual_seed(0)
    divisors = torch.randint(1, 3000, (4000,)).float()
    dividends = divisors * torch.randint(-3000, 3000, (4000,))
    functions: dict[str, Function] = {
        "floor_divide": torch.floor_divide,
        "remainder": torch.remainder,
        "fmod": torch.fmod,
        "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    }
    _check(functions, (dividends, divisors), "reference")
    _check(functions, (dividends + 1, -divisors), "reference")


RANGES: dict[str, tuple[Function, float, float]] = {
    "expm1": (torch.expm1, -1e-3, 1e-3),
    "log1p": (torch.log1p, -1e-3, 1e-3),
    "asin": (torch.asin, -1, 1),
    "acos": (torch.acos, 0.99, 1),
    "atan": (torch.atan, -1e-2, 3),
    "sinh": (torch.sinh, -88, 88),
    "cosh": (torch.cosh, -88, 88),
    "asinh": (torch.asinh, -1e-2, 1e-2),
    "acosh": (torch.acosh, 1.0001, 1.1),
    "atanh": (torch.atanh, -0.99, 0.99),
    "erfc": (torch.erfc, 1, 8),
    "erfinv": (torch.erfinv, -0.999, 0.999),
    "softplus": (F.softplus, -30, 30),
    "log_sigmoid": (F.logsigmoid, -30, 30),
    "mish": (F.mish, -20, 20),
    "exp2": (torch.exp2, -30, 30),
}


@pytest.mark.parametrize("name", RANGES)
def test_relative_error(name: str) -> None:
    """Each element, not only the largest, is right to 1e-5."""
    fn, low, high = RANGES[name]
    x = torch.linspace(low, high, 997)
    program = tosaic.compile(Many([fn]).eval(), (x,), target="tosa-1.0-fp")
    (result,) = program.run(x, executor="reference")
    expected = fn(x.double()).numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-37)
