"""Quotients and remainders: of floats as a division rounds them, of integers exactly."""

from __future__ import annotations

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import i, is_float
from tosaic.lowering.ops import Lowering, Refusal, lowers
from tosaic.lowering.torch_to_tosa import formula
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type, trunc
from tosaic.lowering.torch_to_tosa.promotion import number_of, operand, precise_pair, result

_FORMS = ("Tensor", "Scalar")


def _integers(ctx: Lowering) -> tuple[Term, Term]:
    """Return operands 0 and 1 as i32: TOSA divides nothing else, and a quotient never grows."""
    if number_of(ctx, 1) == 0:
        raise Refusal("it divides integers by zero, as PyTorch refuses to; convert to float")
    element = compute_type(ctx.out_element())
    x, y = operand(ctx, 0, element), operand(ctx, 1, element)
    return x.converted(i(32)), y.converted(i(32))


def _opposite(x: Term, y: Term) -> Term:
    return (x < 0) ^ (y < 0)


def _floor_divide(ctx: Lowering) -> ir.Value:
    if not is_float(ctx.out_element()):
        x, y = _integers(ctx)
        q, r = formula.integer_quotient(x, y)
        down = r.differs(0) & _opposite(x, y)
        return result(ctx, down.where(q - 1, q))
    x, y = precise_pair(ctx)
    q, r = formula.whole_quotient(x, y)
    down = (r > 0).where(q + 1, q)
    exact = r.equals(r).where(_opposite(x, y).where(-down, q), r)  # NaN without a remainder
    return result(ctx, y.equals(0).where(x / y, exact))


def _truncated_divide(ctx: Lowering) -> ir.Value:
    if not is_float(ctx.out_element()):
        x, y = _integers(ctx)
        return result(ctx, x.with_("intdiv", y))
    return result(ctx, trunc(formula.quotient(*precise_pair(ctx))))


@lowers(
    "torch.aten.floor_divide", "torch.aten.floor_divide.Scalar", "torch.aten.floor_divide.Tensor"
)
def floor_divide(ctx: Lowering) -> ir.Value:
    """``floor(x / y)``; integers exactly."""
    return _floor_divide(ctx)


@lowers(*(f"torch.aten.div.{form}_mode" for form in _FORMS))
def div_mode(ctx: Lowering) -> ir.Value:
    """`div(x, y, rounding_mode)`."""
    mode = None if ctx.is_none(2) else ctx.text(2)
    if mode == "floor":
        return _floor_divide(ctx)
    if mode == "trunc":
        return _truncated_divide(ctx)
    return result(ctx, formula.quotient(*precise_pair(ctx)))


@lowers(*(f"torch.aten.remainder.{form}" for form in (*_FORMS, "Scalar_Tensor")))
def remainder(ctx: Lowering) -> ir.Value:
    """`remainder(x, y)`: has the sign of y."""
    if not is_float(ctx.out_element()):
        x, y = _integers(ctx)
        _, r = formula.integer_quotient(x, y)
        r = (r.differs(0) & _opposite(r, y)).where(r + y, r)
        if ctx.is_scalar(1):  # tells the range analysis of int64 what is known
            divisor = ctx.integer(1)
            r = r.clamp(min(0, divisor + 1), max(0, divisor - 1))
        return result(ctx, r)
    x, y = precise_pair(ctx)
    r = formula.signed(formula.whole_quotient(x, y)[1], x < 0)
    return result(ctx, (r.differs(0) & _opposite(r, y)).where(r + y, r))


@lowers(*(f"torch.aten.fmod.{form}" for form in _FORMS))
def fmod(ctx: Lowering) -> ir.Value:
    """`fmod(x, y)`: has the sign of x."""
    if not is_float(ctx.out_element()):
        return result(ctx, formula.integer_quotient(*_integers(ctx))[1])
    x, y = precise_pair(ctx)
    return result(ctx, formula.signed(formula.whole_quotient(x, y)[1], x < 0))
