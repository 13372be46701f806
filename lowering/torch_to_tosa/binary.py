"""Functions of two tensors: powers, angles, lengths, logarithms of sums."""

from __future__ import annotations

import math

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import i, is_float
from tosaic.lowering.ops import Lowering, Quantized, lowers
from tosaic.lowering.torch_to_tosa import formula
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type, exp, log, log1p, sqrt
from tosaic.lowering.torch_to_tosa.logic import shifted_right
from tosaic.lowering.torch_to_tosa.promotion import (
    number_of,
    operand,
    precise_pair,
    precise_type,
    result,
)

# --- powers --------------------------------------------------------------------------------------


def _power(x: Term, y: Term) -> Term:
    """``x ** y`` of floats."""
    size = formula.power(abs(x), y)
    whole = y.apply("floor").equals(y)
    half = y * 0.5
    odd = whole & half.apply("floor").differs(half)
    # A finite negative base; an infinite one has a power even where y is no whole number.
    invalid = (x < 0) & (x > -math.inf) & ~whole
    return invalid.where(math.nan, formula.signed(size, odd & formula.sign_bit(x)))


def _integer_power(x: Term, y: Term) -> Term:
    """``x ** y`` of i32 by squaring; powers that are not needed are kept at 1."""
    total, base = x.like(1), x
    left = y.clamp(0, None)
    for bit in range(5):
        total = total * (left & 1).differs(0).where(base, 1)
        left = shifted_right(left, left.like(1))
        if bit < 4:
            base = (left > 0).where(base, 1)
            base = base * base
    total = (x.equals(0) & (y > 0)).where(0, total)
    unit = abs(x).equals(1).where((y & 1).differs(0).where(x, 1), 0)
    return (y < 0).where(unit, total)


def _product(x: Term, count: int) -> Term:
    out = x
    for _ in range(count - 1):
        out = out * x
    return out


def _powers(ctx: Lowering) -> ir.Value:
    base, exponent = number_of(ctx, 0), number_of(ctx, 1)
    element = precise_type(ctx.out_element())
    if exponent in (1, 2, 3, 4):
        return result(ctx, _product(operand(ctx, 0, element), int(exponent)))
    if is_float(element):
        x, y = precise_pair(ctx)
        if base is not None and base > 0:
            return result(ctx, formula.power_of(base, y))
        return result(ctx, _power(x, y))
    x, y = (operand(ctx, n, compute_type(element)).converted(i(32)) for n in (0, 1))
    return result(ctx, _integer_power(x, y))


@lowers(
    "torch.aten.pow.Tensor_Scalar",
    "torch.aten.float_power.Tensor_Scalar",
    quantized=Quantized.TABLE,
)
def power_to_number(ctx: Lowering) -> ir.Value:
    """`pow(x, number)`; small whole powers are products."""
    return _powers(ctx)


@lowers("torch.aten.pow.Tensor_Tensor", "torch.aten.float_power.Tensor_Tensor")
def power(ctx: Lowering) -> ir.Value:
    """`pow(x, y)`; integers exactly, NaN for a negative x unless y is whole."""
    return _powers(ctx)


@lowers(
    "torch.aten.pow.Scalar",
    "torch.aten.float_power.Scalar",
    quantized=Quantized.TABLE,
    activations=(1,),
)
def power_of_number(ctx: Lowering) -> ir.Value:
    """`pow(number, y)`."""
    return _powers(ctx)


@lowers("torch.aten.ldexp.Tensor")
def ldexp(ctx: Lowering) -> ir.Value:
    """``x * 2 ** y``."""
    x, y = precise_pair(ctx)
    return result(ctx, x * formula.power_of(2.0, y))


# --- angles and lengths --------------------------------------------------------------------------


@lowers("torch.aten.hypot")
def hypot(ctx: Lowering) -> ir.Value:
    """``sqrt(x * x + y * y)`` without overflow; infinite where one of them is."""
    x, y = (abs(v) for v in precise_pair(ctx))
    large, small = x.maximum(y), x.minimum(y)
    ratio = small / large
    length = large * sqrt(ratio * ratio + 1)
    infinite = x.equals(math.inf) | y.equals(math.inf)
    return result(ctx, infinite.where(math.inf, large.equals(0).where(0, length)))


@lowers("torch.aten.atan2")
def atan2(ctx: Lowering) -> ir.Value:
    """The angle of the point (y, x), in all quadrants."""
    y, x = precise_pair(ctx)
    return result(ctx, formula.atan2(y, x))


# --- logarithms ----------------------------------------------------------------------------------


def _log_sum(x: Term, y: Term, base: float) -> Term:
    difference = abs(x - y) * math.log(base)
    total = x.maximum(y) + log1p(exp(-difference)) * (1 / math.log(base))
    return (x.equals(y) & abs(x).equals(math.inf)).where(x, total)


@lowers("torch.aten.logaddexp")
def logaddexp(ctx: Lowering) -> ir.Value:
    """``log(exp(x) + exp(y))`` without overflow."""
    return result(ctx, _log_sum(*precise_pair(ctx), math.e))


@lowers("torch.aten.logaddexp2")
def logaddexp2(ctx: Lowering) -> ir.Value:
    """``log2(2 ** x + 2 ** y)`` without overflow."""
    return result(ctx, _log_sum(*precise_pair(ctx), 2.0))


@lowers(*(f"torch.aten.xlogy.{form}" for form in ("Tensor", "Scalar_Self", "Scalar_Other")))
def xlogy(ctx: Lowering) -> ir.Value:
    """``x * log(y)``, 0 where x is 0 unless y is NaN."""
    x, y = precise_pair(ctx)
    return result(ctx, y.differs(y).where(y, x.equals(0).where(0, x * log(y))))
