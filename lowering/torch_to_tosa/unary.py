"""Functions of one element: exponentials, roots, circular, inverse and error functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.lowering.ops import Lowering, Quantized, Trait, lowers
from tosaic.lowering.torch_to_tosa import formula
from tosaic.lowering.torch_to_tosa.exact import Array, table
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type, log
from tosaic.lowering.torch_to_tosa.promotion import operand, precise_type, result

_LOG2, _LOG10 = math.log(2), math.log(10)

# --- one op of TOSA ------------------------------------------------------------------------------

_RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "erf": (-1.0, 1.0)}


def _direct(name: str) -> None:
    @lowers(f"torch.aten.{name}", quantized=Quantized.TABLE, output_range=_RANGES.get(name))
    def lower(ctx: Lowering) -> ir.Value:
        """The function of that name, which TOSA has."""
        return operand(ctx, 0, ctx.out_element()).apply(name).value


for _name in ("sigmoid", "tanh", "exp", "log", "rsqrt", "reciprocal", "sin", "cos", "erf"):
    _direct(_name)


# --- formulas ------------------------------------------------------------------------------------


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


_FUNCTIONS = {
    "sqrt": _Function(formula.sqrt),
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
}


def _enter(name: str, function: _Function) -> None:
    exact = function.exact

    @lowers(
        f"torch.aten.{name}",
        quantized=Quantized.TABLE,
        integer=None if exact is None else table(lambda ctx, x: exact(x)),
        integer_bits=(8, 16),
        output_range=function.output_range,
    )
    def lower(ctx: Lowering) -> ir.Value:
        """The function of that name."""
        return result(ctx, function.formula(operand(ctx, 0, precise_type(ctx.out_element()))))


for _name, _function in _FUNCTIONS.items():
    _enter(_name, _function)


@lowers("torch.aten.square", quantized=Quantized.TABLE, traits=Trait.CHEAP)
def square(ctx: Lowering) -> ir.Value:
    """``x * x``."""
    x = operand(ctx, 0, compute_type(ctx.out_element()))
    return result(ctx, x * x)


@lowers("torch.aten.logit", quantized=Quantized.TABLE)
def logit(ctx: Lowering) -> ir.Value:
    """`logit(x, eps?)` = log(x / (1 - x)), x limited to [eps, 1 - eps]."""
    x = operand(ctx, 0, precise_type(ctx.out_element()))
    if not ctx.is_none(1):
        x = x.clamp(ctx.real(1), 1 - ctx.real(1))
    return result(ctx, log(x / (1 - x)))
