"""Functions of one element: rounding, exponentials, inverse and error functions, shrinks, tests."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import QuantParams, i, is_float, is_signless_integer, is_static
from tosaic.lowering.ops import IntegerLower, Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa import formula
from tosaic.lowering.torch_to_tosa.constants import constant, returned
from tosaic.lowering.torch_to_tosa.formula import Term, exp, log, log1p_exp, trunc
from tosaic.lowering.torch_to_tosa.promotion import compute_type, operand, refuse_unsigned

Array = npt.NDArray[Any]
_LOG2, _LOG10 = math.log(2), math.log(10)
_LARGE = float(np.finfo(np.float32).max)


def _input(ctx: Lowering) -> Term:
    """Return operand 0 in the type of the result."""
    return operand(ctx, 0, ctx.out_element())


def _table(exact: Callable[[Lowering, Array], Array]) -> IntegerLower:
    """Return the int8 form of a function: 256 entries, each the rounded true value."""

    def integer(ctx: Lowering, x: ir.Value, given: QuantParams, out: QuantParams) -> ir.Value:
        stored = np.clip(np.arange(-128, 128), given.low, given.high)
        with np.errstate(all="ignore"):
            real = np.nan_to_num(
                exact(ctx, given.dequantize(stored)), posinf=_LARGE, neginf=-_LARGE
            )
        return ctx.b.scast(ctx.b.table(ctx.b.storage(x), out.quantize(real), i(8)), out.type())

    return integer


@dataclass(frozen=True)
class _Function:
    """`formula` in TOSA's ops; `exact` fills int8 tables where it is long or approximate."""

    formula: Callable[[Term], Term]
    exact: Callable[[Array], Array] | None = None
    output_range: tuple[float, float] | None = None


def _erfinv(x: Array) -> Array:
    inverse = NormalDist().inv_cdf
    inner = [inverse((v + 1) / 2) / math.sqrt(2) if abs(v) < 1 else v * math.inf for v in x]
    return np.where(np.abs(x) > 1, np.nan, inner)


def _erfc(x: Array) -> Array:
    return np.array([math.erfc(v) for v in x])


def _sinc(x: Term) -> Term:
    angle = x * math.pi
    return x.equals(0).where(1, angle.apply("sin") / angle)


def _sign(x: Term) -> Term:
    return (x > 0).where(x.like(1), (x < 0).where(x.like(-1), 0))


_FUNCTIONS = {
    "trunc": _Function(trunc),
    "fix": _Function(trunc),
    "frac": _Function(lambda x: x - trunc(x), output_range=(-1.0, 1.0)),
    "exp2": _Function(lambda x: formula.power_of(2.0, x)),
    "expm1": _Function(formula.expm1, np.expm1, (-1.0, math.inf)),
    "log2": _Function(lambda x: log(x) * (1 / _LOG2)),
    "log10": _Function(lambda x: log(x) * (1 / _LOG10)),
    "log1p": _Function(formula.log1p, np.log1p),
    "tan": _Function(lambda x: x.apply("sin") / x.apply("cos")),
    "asin": _Function(formula.asin, np.arcsin),
    "acos": _Function(formula.acos, np.arccos),
    "atan": _Function(formula.atan, np.arctan, (-math.pi / 2, math.pi / 2)),
    "sinh": _Function(formula.sinh, np.sinh),
    "cosh": _Function(formula.cosh, np.cosh, (1.0, math.inf)),
    "asinh": _Function(formula.asinh, np.arcsinh),
    "acosh": _Function(formula.acosh, np.arccosh),
    "atanh": _Function(formula.atanh, np.arctanh),
    "erfc": _Function(formula.erfc, _erfc, (0.0, 2.0)),
    "erfinv": _Function(formula.erfinv, _erfinv),
    "sinc": _Function(_sinc, np.sinc, (-0.2173, 1.0)),
    "deg2rad": _Function(lambda x: x * (math.pi / 180)),
    "rad2deg": _Function(lambda x: x * (180 / math.pi)),
    "log_sigmoid": _Function(lambda x: -log1p_exp(-x), lambda x: -np.logaddexp(0, -x)),
    "softsign": _Function(lambda x: x / (abs(x) + 1), output_range=(-1.0, 1.0)),
    "tanhshrink": _Function(lambda x: x - x.apply("tanh")),
}
# Of integers, these give the input back.
_ROUNDING = ("trunc", "fix")


def _enter(name: str, function: _Function) -> None:
    names = [f"torch.aten.{name}"]
    if name in ("asin", "acos", "atan", "asinh", "acosh", "atanh"):
        names.append(f"torch.aten.arc{name[1:]}")
    exact = function.exact

    @lowers(
        *names,
        quantized=Quantized.TABLE,
        integer=None if exact is None else _table(lambda ctx, x: exact(x)),
        output_range=function.output_range,
    )
    def lower(ctx: Lowering) -> ir.Value:
        """The function of that name."""
        x = _input(ctx)
        if name in _ROUNDING and not is_float(x.element):
            return x.value
        return function.formula(x).value


for _name, _function in _FUNCTIONS.items():
    _enter(_name, _function)


@lowers("torch.aten.round", quantized=Quantized.TABLE, integer=_table(lambda ctx, x: np.rint(x)))
def round_(ctx: Lowering) -> ir.Value:
    """Round half to even."""
    x = _input(ctx)
    return formula.rounded(x).value if is_float(x.element) else x.value


def _exact_decimals(ctx: Lowering, x: Array) -> Array:
    unit = 10.0 ** ctx.integer(1)
    return np.asarray(np.rint(x * unit) / unit)


@lowers("torch.aten.round.decimals", quantized=Quantized.TABLE, integer=_table(_exact_decimals))
def round_decimals(ctx: Lowering) -> ir.Value:
    """`round(x, decimals)`: 10**decimals is multiplied in and divided out, as PyTorch does."""
    x, decimals = _input(ctx), ctx.integer(1)
    if not is_float(x.element):
        if decimals < 0:
            raise Refusal("integers rounded to tens have no lowering; convert to float first")
        return x.value
    unit = x.like(10.0 ** abs(decimals))
    if decimals < 0:
        return (formula.rounded(formula.quotient(x, unit)) * unit).value
    if decimals == 0:
        return formula.rounded(x).value
    return formula.quotient(formula.rounded(x * unit), unit).value


@lowers("torch.aten.sign", "torch.aten.sgn", quantized=Quantized.TABLE, output_range=(-1.0, 1.0))
def sign(ctx: Lowering) -> ir.Value:
    """-1, 0 or 1; NaN gives 0."""
    refuse_unsigned(ctx)
    element = ctx.out_element()
    if is_signless_integer(element, 1):
        return ctx.tensor(0)
    return _sign(operand(ctx, 0, compute_type(element))).converted(element).value


@lowers("torch.aten.signbit")
def signbit(ctx: Lowering) -> ir.Value:
    """Whether x is negative; -0.0 is."""
    refuse_unsigned(ctx)
    x = Term(ctx.b, ctx.tensor(0))
    if is_signless_integer(x.element, 1):
        return (x & ~x).value
    return formula.sign_bit(x.at_least_i32()).value


@lowers("torch.aten.square", quantized=Quantized.TABLE)
def square(ctx: Lowering) -> ir.Value:
    """``x * x``."""
    element = ctx.out_element()
    x = operand(ctx, 0, compute_type(element))
    return (x * x).converted(element).value


@lowers("torch.aten.logit", quantized=Quantized.TABLE)
def logit(ctx: Lowering) -> ir.Value:
    """`logit(x, eps?)` = log(x / (1 - x)), x limited to [eps, 1 - eps]."""
    x = _input(ctx)
    if not ctx.is_none(1):
        x = x.clamp(ctx.real(1), 1 - ctx.real(1))
    return log(x / (1 - x)).value


# --- activations ---------------------------------------------------------------------------------


@lowers("torch.aten.mish", quantized=Quantized.TABLE, output_range=(-0.31, math.inf))
def mish(ctx: Lowering) -> ir.Value:
    """``x * tanh(softplus(x))``; with e = exp(x), tanh is n / (n + 2) for n = e (e + 2)."""
    x = _input(ctx)
    e = exp(x.clamp(None, 20))  # beyond, the gate is 1
    n = e * (e + 2)
    return (x * (n / (n + 2))).value


def _elu(x: Term, alpha: float, scale: float, input_scale: float) -> Term:
    below = formula.expm1(x.clamp(None, 0) * input_scale) * (alpha * scale)
    return x.clamp(0, None) * scale + below


def _exact_elu(x: Array, alpha: float, scale: float, input_scale: float) -> Array:
    return np.where(x > 0, x * scale, np.expm1(np.minimum(x, 0) * input_scale) * (alpha * scale))


_SELU = (1.6732632423543772, 1.0507009873554805, 1.0)


@lowers(
    "torch.aten.selu",
    quantized=Quantized.TABLE,
    integer=_table(lambda ctx, x: _exact_elu(x, *_SELU)),
    output_range=(-1.7581, math.inf),
)
def selu(ctx: Lowering) -> ir.Value:
    """`selu(x)`; Klambauer et al., "Self-Normalizing Neural Networks", 2017."""
    return _elu(_input(ctx), *_SELU).value


@lowers(
    "torch.aten.celu",
    quantized=Quantized.TABLE,
    integer=_table(lambda ctx, x: _exact_elu(x, ctx.real(1), 1.0, 1.0 / ctx.real(1))),
)
def celu(ctx: Lowering) -> ir.Value:
    """`celu(x, alpha)`."""
    alpha = ctx.real(1)
    return _elu(_input(ctx), alpha, 1.0, 1.0 / alpha).value


def _exact_softplus(ctx: Lowering, x: Array) -> Array:
    scaled = x * ctx.real(1)
    return np.where(scaled > ctx.real(2), x, np.logaddexp(0, scaled) / ctx.real(1))


@lowers(
    "torch.aten.softplus",
    quantized=Quantized.TABLE,
    integer=_table(_exact_softplus),
    output_range=(0.0, math.inf),
)
def softplus(ctx: Lowering) -> ir.Value:
    """`softplus(x, beta, threshold)`: log(1 + exp(beta x)) / beta, x beyond the threshold."""
    x, beta = _input(ctx), ctx.real(1)
    scaled = x * beta
    return (scaled > ctx.real(2)).where(x, log1p_exp(scaled) * (1 / beta)).value


@lowers("torch.aten.softshrink", quantized=Quantized.TABLE)
def softshrink(ctx: Lowering) -> ir.Value:
    """`softshrink(x, lambda)`."""
    x, bound = _input(ctx), ctx.real(1)
    return (x - x.clamp(-bound, bound)).value


@lowers("torch.aten.hardshrink", quantized=Quantized.TABLE)
def hardshrink(ctx: Lowering) -> ir.Value:
    """`hardshrink(x, lambda)`: x where it is beyond [-lambda, lambda], else 0."""
    x = _input(ctx)
    return (abs(x) <= ctx.real(1)).where(0, x).value


@lowers("torch.aten.threshold", quantized=Quantized.TABLE)
def threshold(ctx: Lowering) -> ir.Value:
    """`threshold(x, threshold, value)`: x where it is greater, else value."""
    x = _input(ctx)
    wide = x.at_least_i32()
    kept = (wide <= ctx.scalar(1)).where(ctx.scalar(2), wide)
    return kept.converted(x.element).value


@lowers("torch.aten.rrelu", quantized=Quantized.TABLE)
def rrelu(ctx: Lowering) -> ir.Value:
    """`rrelu(x, lower, upper, training)`: when not training, the mean slope below 0."""
    if ctx.flag(3):
        raise Refusal("it is in training mode; call model.eval() before exporting")
    x = _input(ctx)
    return ((x < 0).where(x * ((ctx.real(1) + ctx.real(2)) / 2), x)).value


# --- limits --------------------------------------------------------------------------------------


def _limited(ctx: Lowering, low: int | None, high: int | None) -> ir.Value:
    element = ctx.out_element()
    x = operand(ctx, 0, compute_type(element))
    if low is not None:
        x = x.maximum(operand(ctx, low, x.element))
    if high is not None:
        x = x.minimum(operand(ctx, high, x.element))
    return x.converted(element).value


@lowers("torch.aten.clamp.Tensor", "torch.aten.clip.Tensor", activations=(0, 1, 2))
def clamp_tensor(ctx: Lowering) -> ir.Value:
    """`clamp(x, min?, max?)` with tensors as bounds."""
    return _limited(ctx, None if ctx.is_none(1) else 1, None if ctx.is_none(2) else 2)


def _clamped(ctx: Lowering, low: float | None, high: float | None) -> ir.Value:
    element = ctx.out_element()
    return operand(ctx, 0, compute_type(element)).clamp(low, high).converted(element).value


@lowers("torch.aten.clip", quantized=Quantized.CLAMP, range_arguments=(1, 2))
def clip(ctx: Lowering) -> ir.Value:
    """`clip(x, min?, max?)`, another name of clamp."""
    low = None if ctx.is_none(1) else ctx.scalar(1)
    high = None if ctx.is_none(2) else ctx.scalar(2)
    if low is not None and high is not None:
        low = min(low, high)
    return _clamped(ctx, low, high)


@lowers("torch.aten.clamp_min", quantized=Quantized.TABLE)
def clamp_min(ctx: Lowering) -> ir.Value:
    """`clamp_min(x, min)`."""
    return _clamped(ctx, ctx.scalar(1), None)


@lowers("torch.aten.clamp_max", quantized=Quantized.TABLE)
def clamp_max(ctx: Lowering) -> ir.Value:
    """`clamp_max(x, max)`."""
    return _clamped(ctx, None, ctx.scalar(1))


@lowers("torch.aten.clamp_min.Tensor", quantized=Quantized.RESCALED, activations=(0, 1))
def clamp_min_tensor(ctx: Lowering) -> ir.Value:
    """`clamp_min(x, min)` with a tensor as bound."""
    return _limited(ctx, 1, None)


@lowers("torch.aten.clamp_max.Tensor", quantized=Quantized.RESCALED, activations=(0, 1))
def clamp_max_tensor(ctx: Lowering) -> ir.Value:
    """`clamp_max(x, max)` with a tensor as bound."""
    return _limited(ctx, None, 1)


@lowers("torch.aten.nan_to_num", quantized=Quantized.TABLE)
def nan_to_num(ctx: Lowering) -> ir.Value:
    """`nan_to_num(x, nan?, posinf?, neginf?)`."""
    x = _input(ctx)
    if not is_float(x.element):
        return x.value
    largest = float(np.finfo(np.float16).max) if str(x.element) == "f16" else _LARGE
    if str(x.element) == "bf16":
        largest = 3.3895313892515355e38
    nan = 0.0 if ctx.is_none(1) else ctx.real(1)
    positive = largest if ctx.is_none(2) else ctx.real(2)
    negative = -largest if ctx.is_none(3) else ctx.real(3)
    x = x.equals(x).where(x, nan)
    x = x.equals(math.inf).where(positive, x)
    return x.equals(-math.inf).where(negative, x).value


# --- tests ---------------------------------------------------------------------------------------

_TESTS: dict[str, tuple[Callable[[Term], Term], bool]] = {
    "isnan": (lambda x: x.differs(x), False),
    "isinf": (lambda x: abs(x).equals(math.inf), False),
    "isfinite": (lambda x: abs(x) < math.inf, True),
    "isposinf": (lambda x: x.equals(math.inf), False),
    "isneginf": (lambda x: x.equals(-math.inf), False),
}


def _test(name: str, test: Callable[[Term], Term], of_integers: bool) -> None:
    @lowers(f"torch.aten.{name}")
    def lower(ctx: Lowering) -> ir.Value:
        """Whether the elements are; integers are finite."""
        x = Term(ctx.b, ctx.tensor(0))
        if is_float(x.element):
            return test(x).value
        shape = ctx.out_shape()
        if not is_static(shape):
            raise Refusal("its shape has a dynamic dim; specialise the shapes")
        return returned(ctx, constant(ctx.b, np.full(shape, of_integers), i(1)))


for _name, (_fn, _of_integers) in _TESTS.items():
    _test(_name, _fn, _of_integers)


@lowers("torch.aten.logical_not")
def logical_not(ctx: Lowering) -> ir.Value:
    """Whether x is 0."""
    return (~operand(ctx, 0, i(1))).value


@lowers("torch.aten.bitwise_not")
def bitwise_not(ctx: Lowering) -> ir.Value:
    """The bits of x inverted; of a bool, not x."""
    return (~_input(ctx)).value


# --- the same, named otherwise -------------------------------------------------------------------


@lowers("torch.aten.absolute", quantized=Quantized.TABLE)
def absolute(ctx: Lowering) -> ir.Value:
    """Another name of abs."""
    return abs(_input(ctx)).value


@lowers("torch.aten.negative", quantized=Quantized.TABLE)
def negative(ctx: Lowering) -> ir.Value:
    """Another name of neg."""
    return (-_input(ctx)).value


@lowers("torch.aten.positive", quantized=Quantized.SHARED)
def positive(ctx: Lowering) -> ir.Value:
    """x itself."""
    return ctx.tensor(0)
