"""Cases of elementwise ops, in float, bool and integers, and of creation; see op_cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from op_cases import Case, Function
from torch import Tensor

from support.nets import Calls

Inputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class ElementwiseCase(Case):
    """`inputs()` draws the inputs; the program is compiled for `target`."""

    inputs: Callable[[], Inputs] | None = None
    target: str = "tosa-1.0-fp"


CASES: list[Case] = []
SHAPE = (2, 3, 7)


def _case(name: str, fn: Function, draw: Callable[[], Inputs], **more: Any) -> None:
    quantizable = more.pop("quantizable", False)
    CASES.append(
        ElementwiseCase(name, lambda: Calls(fn), (), quantizable=quantizable, inputs=draw, **more)
    )


def _real(low: float = -3.0, high: float = 3.0, count: int = 1) -> Callable[[], Inputs]:
    return lambda: tuple(torch.rand(SHAPE) * (high - low) + low for _ in range(count))


def _whole(*bounds: tuple[int, int], dtype: torch.dtype = torch.int32) -> Callable[[], Inputs]:
    return lambda: tuple(torch.randint(*b, SHAPE, dtype=dtype) for b in bounds)


def _bool(count: int = 1) -> Callable[[], Inputs]:
    return lambda: tuple(torch.rand(SHAPE) > 0.5 for _ in range(count))


# Functions of one element: name -> (function, range of the inputs).
_UNARY: dict[str, tuple[Function, float, float]] = {
    "round": (torch.round, -4, 4),
    "round_decimals": (lambda x: torch.round(x, decimals=2), -4, 4),
    "round_tens": (lambda x: torch.round(x, decimals=-1), -400, 400),
    "trunc": (torch.trunc, -4, 4),
    "frac": (torch.frac, -4, 4),
    "sign": (torch.sign, -1, 1),
    "square_op": (torch.square, -3, 3),
    "exp2": (torch.exp2, -5, 5),
    "expm1": (torch.expm1, -3, 2),
    "log2": (torch.log2, 0.1, 9),
    "log10": (torch.log10, 0.1, 9),
    "log1p": (torch.log1p, -0.9, 3),
    "tan": (torch.tan, -1.3, 1.3),
    "asin": (torch.asin, -1, 1),
    "acos": (torch.acos, -1, 1),
    "atan": (torch.atan, -5, 5),
    "sinh": (torch.sinh, -3, 3),
    "cosh": (torch.cosh, -3, 3),
    "asinh": (torch.asinh, -9, 9),
    "acosh": (torch.acosh, 1, 9),
    "atanh": (torch.atanh, -0.97, 0.97),
    "erfc": (torch.erfc, -3, 3),
    "erfinv": (torch.erfinv, -0.98, 0.98),
    "logit": (torch.logit, 0.02, 0.98),
    "logit_eps": (lambda x: torch.logit(x, 0.05), -0.1, 1.1),
    "sinc": (torch.sinc, -3, 3),
    "deg2rad": (torch.deg2rad, -180, 180),
    "rad2deg": (torch.rad2deg, -3, 3),
    "mish": (F.mish, -5, 5),
    "selu": (F.selu, -4, 4),
    "celu": (lambda x: F.celu(x, 0.7), -4, 4),
    "softplus": (F.softplus, -6, 6),
    "softplus_beta": (lambda x: F.softplus(x, 2.0, 3.0), -6, 6),
    "softsign": (F.softsign, -4, 4),
    "tanhshrink": (F.tanhshrink, -3, 3),
    "softshrink": (F.softshrink, -2, 2),
    "hardshrink": (lambda x: F.hardshrink(x, 0.8), -2, 2),
    "threshold": (lambda x: F.threshold(x, 0.1, -0.5), -2, 2),
    "log_sigmoid": (F.logsigmoid, -6, 6),
    "rrelu": (F.rrelu, -2, 2),
    "nan_to_num": (torch.nan_to_num, -2, 2),
    "clip": (lambda x: torch.clip(x, -0.5, 1), -2, 2),
    "clamp_min_op": (lambda x: torch.clamp_min(x, 0.3), -2, 2),
    "clamp_max_op": (lambda x: torch.clamp_max(x, 0.3), -2, 2),
    "absolute": (torch.absolute, -2, 2),
    "negative": (torch.negative, -2, 2),
    "positive": (torch.positive, -2, 2),
    "pow_number": (lambda x: 2.5**x, -2, 2),
}
for _name, (_fn, _low, _high) in _UNARY.items():
    _case(_name, _fn, _real(_low, _high), quantizable=True)

# Functions of two floats.
for _name, _fn in {
    "floor_divide": torch.floor_divide,
    "div_floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "div_none": lambda x, y: torch.div(x, y, rounding_mode=None),
    "true_divide": torch.true_divide,
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "pow_tensor": lambda x, y: torch.pow(x.abs(), y),
    "pow_negative": lambda x, y: torch.pow(x, torch.round(y)),
    "atan2": torch.atan2,
    "hypot": torch.hypot,
    "logaddexp": torch.logaddexp,
    "logaddexp2": torch.logaddexp2,
    "xlogy": lambda x, y: torch.xlogy(x, y.abs()),
    "copysign": torch.copysign,
    "heaviside": lambda x, y: torch.heaviside(torch.round(x), y),
    "lerp": lambda x, y: torch.lerp(x, y, 0.3),
    "lerp_far": lambda x, y: torch.lerp(x, y, 0.8),
    "lerp_tensor": lambda x, y: torch.lerp(x, y, x),
    "addcmul": lambda x, y: torch.addcmul(x, y, y, value=0.5),
    "addcdiv": lambda x, y: torch.addcdiv(x, y, y.abs() + 1, value=2),
    "where": lambda x, y: torch.where(x > y, x, y),
    "where_number": lambda x, y: torch.where(x > y, x, 0.5),
    "where_numbers": lambda x, y: torch.where(x > y, 1.0, 0.5),
    "where_number_first": lambda x, y: torch.where(x > y, 0.5, y),
    "masked_fill": lambda x, y: x.masked_fill(y > 0, -1e9),
    "masked_fill_tensor": lambda x, y: x.masked_fill(y > 0, torch.tensor(2.0)),
    "clamp_tensor": lambda x, y: torch.clamp(x, y, y + 1),
    "clamp_tensor_min": lambda x, y: torch.clamp(x, min=y),
    "ldexp": lambda x, y: torch.ldexp(x, torch.round(y)),
    "number_of_tensor": lambda x, y: x * y.max().item() + y.min().item(),
    "isclose": lambda x, y: torch.isclose(torch.round(x), torch.round(y)),
    **{name: getattr(torch, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "logical_and": lambda x, y: torch.logical_and(torch.round(x), y),
    "logical_or": lambda x, y: torch.logical_or(torch.round(x), torch.round(y)),
    "logical_xor": lambda x, y: torch.logical_xor(torch.round(x), y),
    "copy": lambda x, y: (x + 1).copy_(y),
}.items():
    _case(_name, _fn, _real(count=2))
for _name, _fn in {
    "fmax": torch.fmax,
    "fmin": torch.fmin,
    "max_other": torch.max,
    "min_other": torch.min,
    "rsub_tensor": torch.rsub,
    "rsub_alpha": lambda x, y: torch.rsub(x, y, alpha=2),
    "clamp_min_tensor": torch.clamp_min,
    "clamp_max_tensor": torch.clamp_max,
}.items():
    _case(_name, _fn, _real(count=2), quantizable=True)
# Quotients of whole numbers: a * (1 / b) would be one off.
_case(
    "floor_divide_whole",
    lambda x, y: torch.floor_divide(torch.round(x), torch.round(y)),
    lambda: (torch.rand(400) * 1000 - 500, torch.rand(400) * 50 + 1),
)
_case(
    "remainder_whole",
    lambda x, y: torch.remainder(torch.round(x), torch.round(y)),
    lambda: (torch.rand(400) * 1000 - 500, torch.rand(400) * 50 + 1),
)
_case("gt_number", lambda x: (x > 0.5) | (x <= -1), _real())
_case("compare_promoted", lambda x: x.to(torch.int32) >= 0.5, _real())
_case("div_number_floor", lambda x: torch.div(x, 0.7, rounding_mode="floor"), _real())
_case("remainder_number", lambda x: x % 0.7, _real())
_case("remainder_of_number", lambda x: torch.remainder(7.0, x), _real(0.5, 3))
_case("copysign_number", lambda x: torch.copysign(x, -1.0), _real())
_case("xlogy_number", lambda x: torch.xlogy(2.0, x), _real(0.1, 3))
_case("isfinite", torch.isfinite, _real())
_case("logical_not", lambda x: torch.logical_not(torch.round(x)), _real())
_case("broadcast_where", lambda x: torch.where(x[:, :1] > 0, x, x[0]), _real())

# Integers, exactly.
_INTEGER = {"target": "tosa-1.0-int+fp"}
_NUMBERS = ((-100, 100), (1, 20))
for _name, _fn in {
    "floor_divide": torch.floor_divide,
    "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "remainder": torch.remainder,
    "remainder_negative": lambda x, y: torch.remainder(x, -y),
    "fmod": torch.fmod,
    "true_divide": torch.true_divide,
    "max": torch.max,
    "fmin": torch.fmin,
    "rsub": lambda x, y: torch.rsub(x, y, alpha=3),
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "ge": torch.ge,
    "and": lambda x, y: x & y,
    "or": lambda x, y: x | y,
    "xor": lambda x, y: x ^ y,
    "where": lambda x, y: torch.where(x < y, x, 7),
    "logical_xor": torch.logical_xor,
    "masked_fill": lambda x, y: x.masked_fill(y > 4, -1),
    "addcmul": lambda x, y: torch.addcmul(x, y, y, value=2),
    "heaviside": torch.heaviside,
    "clamp_tensor": lambda x, y: torch.clamp(x, -y, y),
}.items():
    _case(f"int_{_name}", _fn, _whole(*_NUMBERS), **_INTEGER)
for _name, _fn in {
    "not": torch.bitwise_not,
    "sign": torch.sign,
    "square": torch.square,
    "trunc": torch.trunc,
    "round": torch.round,
    "isnan": torch.isnan,
    "isfinite": torch.isfinite,
    "signbit": torch.signbit,
    "clamp_min": lambda x: torch.clamp_min(x, 3),
    "threshold": lambda x: F.threshold(x, 3, 7),
    "exp2": lambda x: torch.exp2(x.clamp_max(10)),
    "and_number": lambda x: x & 6,
    "or_number": lambda x: x | 6,
    "xor_number": lambda x: 6 ^ x,
    "eq_number": lambda x: x == 4,
    "gt_fraction": lambda x: x > 3.5,
    "floor_divide_number": lambda x: x // -7,
    "remainder_number": lambda x: x % 7,
    "fmod_number": lambda x: torch.fmod(x, 7),
    "shift_left": lambda x: x << 3,
    "shift_right": lambda x: x >> 2,
    "shift_right_all": lambda x: torch.bitwise_right_shift(x, 40),
}.items():
    _case(f"int_{_name}", _fn, _whole((-100, 100)), **_INTEGER)
for _dtype in (torch.int8, torch.int16, torch.int64):
    _kind = str(_dtype).removeprefix("torch.")
    for _name, _fn in {
        "floor_divide": torch.floor_divide,
        "remainder": torch.remainder,
        "lt": torch.lt,
        "and": lambda x, y: x & y,
        "where": lambda x, y: torch.where(x < y, x, y),
        "max": torch.max,
    }.items():
        _case(f"{_kind}_{_name}", _fn, _whole(*_NUMBERS, dtype=_dtype), **_INTEGER)
    _case(f"{_kind}_sign", torch.sign, _whole((-100, 100), dtype=_dtype), **_INTEGER)
    _case(
        f"{_kind}_remainder_number", lambda x: x % 7, _whole((-100, 100), dtype=_dtype), **_INTEGER
    )
    _case(f"{_kind}_shift_right", lambda x: x >> 2, _whole((-100, 100), dtype=_dtype), **_INTEGER)
_case("int8_square_wraps", torch.square, _whole((-100, 100), dtype=torch.int8), **_INTEGER)
_case("int_shift_left_tensor", torch.bitwise_left_shift, _whole((-100, 100), (0, 9)), **_INTEGER)
_case("int_shift_right_tensor", torch.bitwise_right_shift, _whole((-100, 100), (0, 40)), **_INTEGER)
_case(
    "int64_shift_left",
    lambda x: x.clamp_max(99).clamp_min(-99) << 2,
    _whole((-100, 100), dtype=torch.int64),
    **_INTEGER,
)
_case(
    "int64_shift_right_tensor",
    torch.bitwise_right_shift,
    _whole((-100, 100), (0, 40), dtype=torch.int64),
    **_INTEGER,
)
_case("int_pow", torch.pow, _whole((-9, 10), (0, 7)), **_INTEGER)
_case("int_pow_of_two", lambda x: torch.pow(2, x), _whole((0, 30)), **_INTEGER)
_case("int_pow_units", torch.pow, _whole((-1, 2), (0, 60)), **_INTEGER)
_case("int64_pow", torch.pow, _whole((-9, 10), (0, 7), dtype=torch.int64), **_INTEGER)

# Bools.
for _name, _fn in {
    "and": lambda x, y: x & y,
    "or": lambda x, y: x | y,
    "xor": lambda x, y: x ^ y,
    "eq": torch.eq,
    "logical_or": torch.logical_or,
    "where": lambda x, y: torch.where(x, y, ~y),
    "rsub": lambda x, y: torch.where(x, 1, 0) * torch.where(y, 2, 3),
}.items():
    _case(f"bool_{_name}", _fn, _bool(2), **_INTEGER)
_case("bool_not", lambda x: ~x, _bool(), **_INTEGER)
_case("bool_compare", lambda x: x == 1, _bool(), **_INTEGER)

# Creation.
for _name, _fn in {
    "zeros": lambda x: x + torch.zeros(7),
    "full": lambda x: x * torch.full((3, 7), 1.5),
    "full_returned": lambda x: torch.full((2, 3), 2),
    "full_bool": lambda x: torch.where(torch.full((7,), True), x, 0),
    "ones_like": torch.ones_like,
    "zeros_like_int": lambda x: torch.zeros_like(x, dtype=torch.int32),
    "full_like": lambda x: x + torch.full_like(x, 3),
    "new_zeros": lambda x: x.new_zeros(2, 3),
    "new_ones": lambda x: x.new_ones(2, dtype=torch.int32),
    "new_full": lambda x: x + x.new_full((7,), 0.5),
    "empty": lambda x: torch.empty(SHAPE).copy_(x),
    "empty_like": lambda x: torch.empty_like(x).fill_(2),
    "new_empty": lambda x: x.new_empty(3).zero_() + x[:, :, :3],
    "fill": lambda x: torch.fill(x, 2.5),
    "fill_tensor": lambda x: torch.fill(x, torch.tensor(2.5)),
    "zero": lambda x: (x + 1).zero_(),
    "arange": lambda x: x + torch.arange(7),
    "arange_start": lambda x: torch.arange(2, 7),
    "arange_step": lambda x: torch.arange(0.5, 4.0, 0.5),
    "arange_down": lambda x: torch.arange(7, 0, -2),
    "linspace": lambda x: torch.linspace(-1, 1, 5),
    "logspace": lambda x: torch.logspace(0, 2, 5),
    "eye": lambda x: x[0] @ torch.eye(7, 4),
    "scalar_tensor": lambda x: x + torch.scalar_tensor(3.0),
    "tensor": lambda x: x + torch.tensor([1.0, 2, 3, 4, 5, 6, 7]),
    "tensor_0d": lambda x: x * torch.tensor(3.0),
    "tril_indices": lambda x: torch.tril_indices(3, 4, 1),
}.items():
    _case(f"creation_{_name}", _fn, _real())
