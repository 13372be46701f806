"""Functions of two or three tensors: division, powers, comparison, logic, bits, choice, mixing."""

from __future__ import annotations

import math
from collections.abc import Callable

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import i, is_float, is_signless_integer
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa import formula
from tosaic.lowering.torch_to_tosa.formula import Term, exp, log, log1p, square_root, trunc
from tosaic.lowering.torch_to_tosa.promotion import (
    compute_type,
    operand,
    promoted,
    refuse_unsigned,
)

_BOTH = (0, 1)
_FORMS = ("Tensor", "Scalar")


def _pair(ctx: Lowering) -> tuple[Term, Term]:
    """Return operands 0 and 1 in the type TOSA computes the result in."""
    refuse_unsigned(ctx)
    element = compute_type(ctx.out_element())
    return operand(ctx, 0, element), operand(ctx, 1, element)


def _result(ctx: Lowering, value: Term) -> ir.Value:
    return value.converted(ctx.out_element()).value


# --- division ------------------------------------------------------------------------------------


def _integers(ctx: Lowering) -> tuple[Term, Term]:
    """Return operands 0 and 1 as i32: TOSA divides nothing else, and a quotient never grows."""
    refuse_unsigned(ctx)
    if ctx.is_scalar(1) and ctx.scalar(1) == 0:
        raise Refusal("it divides integers by zero")
    x, y = (operand(ctx, n, compute_type(ctx.out_element())) for n in _BOTH)
    return x.converted(i(32)), y.converted(i(32))


def _opposite(x: Term, y: Term) -> Term:
    return (x < 0) ^ (y < 0)


def _floor_divide(ctx: Lowering) -> ir.Value:
    if not is_float(ctx.out_element()):
        x, y = _integers(ctx)
        q, r = formula.integer_quotient(x, y)
        down = r.differs(0) & _opposite(x, y)
        return _result(ctx, down.where(q - 1, q))
    x, y = _pair(ctx)
    q, r = formula.whole_quotient(x, y)
    down = (r > 0).where(q + 1, q)
    exact = r.equals(r).where(_opposite(x, y).where(-down, q), r)  # NaN without a remainder
    return y.equals(0).where(x / y, exact).value


def _truncated_divide(ctx: Lowering) -> ir.Value:
    if not is_float(ctx.out_element()):
        return _result(ctx, _integers(ctx)[0].with_("intdiv", _integers(ctx)[1]))
    return trunc(formula.quotient(*_pair(ctx))).value


@lowers(
    "torch.aten.floor_divide", "torch.aten.floor_divide.Scalar", "torch.aten.floor_divide.Tensor"
)
def floor_divide(ctx: Lowering) -> ir.Value:
    """``floor(x / y)``; integers exactly."""
    return _floor_divide(ctx)


@lowers(
    "torch.aten.div.Tensor_mode",
    "torch.aten.div.Scalar_mode",
    "torch.aten.divide.Tensor_mode",
    "torch.aten.divide.Scalar_mode",
)
def div_mode(ctx: Lowering) -> ir.Value:
    """`div(x, y, rounding_mode)`."""
    mode = None if ctx.is_none(2) else ctx.text(2)
    if mode == "floor":
        return _floor_divide(ctx)
    if mode == "trunc":
        return _truncated_divide(ctx)
    return formula.quotient(*_pair(ctx)).value


@lowers(
    "torch.aten.true_divide.Tensor",
    "torch.aten.true_divide.Scalar",
    "torch.aten.divide.Tensor",
    "torch.aten.divide.Scalar",
)
def true_divide(ctx: Lowering) -> ir.Value:
    """Other names of div."""
    x, y = _pair(ctx)
    return (x / y).value


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
        return _result(ctx, r)
    x, y = _pair(ctx)
    r = formula.signed(formula.whole_quotient(x, y)[1], x < 0)
    return (r.differs(0) & _opposite(r, y)).where(r + y, r).value


@lowers(*(f"torch.aten.fmod.{form}" for form in _FORMS))
def fmod(ctx: Lowering) -> ir.Value:
    """`fmod(x, y)`: has the sign of x."""
    if not is_float(ctx.out_element()):
        return _result(ctx, formula.integer_quotient(*_integers(ctx))[1])
    x, y = _pair(ctx)
    return formula.signed(formula.whole_quotient(x, y)[1], x < 0).value


# --- powers and roots ----------------------------------------------------------------------------


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
        left = _shifted_right(left, left.like(1))
        if bit < 4:
            base = (left > 0).where(base, 1)
            base = base * base
    total = (x.equals(0) & (y > 0)).where(0, total)
    unit = abs(x).equals(1).where((y & 1).differs(0).where(x, 1), 0)
    return (y < 0).where(unit, total)


def _powers(ctx: Lowering) -> ir.Value:
    if is_float(ctx.out_element()):
        x, y = _pair(ctx)
        if ctx.is_scalar(0) and ctx.scalar(0) > 0:
            return formula.power_of(ctx.real(0), y).value
        return _power(x, y).value
    refuse_unsigned(ctx)
    x, y = (operand(ctx, n, compute_type(ctx.out_element())).converted(i(32)) for n in _BOTH)
    return _result(ctx, _integer_power(x, y))


@lowers("torch.aten.pow.Tensor_Tensor")
def power(ctx: Lowering) -> ir.Value:
    """`pow(x, y)`; integers exactly, NaN for a negative x unless y is whole."""
    return _powers(ctx)


@lowers("torch.aten.pow.Scalar", quantized=Quantized.TABLE, activations=(1,))
def power_of_number(ctx: Lowering) -> ir.Value:
    """`pow(number, y)`."""
    return _powers(ctx)


@lowers("torch.aten.hypot")
def hypot(ctx: Lowering) -> ir.Value:
    """``sqrt(x * x + y * y)`` without overflow; infinite where one of them is."""
    x, y = (abs(v) for v in _pair(ctx))
    large, small = x.maximum(y), x.minimum(y)
    ratio = small / large
    length = large * square_root(ratio * ratio + 1)
    infinite = x.equals(math.inf) | y.equals(math.inf)
    return infinite.where(math.inf, large.equals(0).where(0, length)).value


@lowers("torch.aten.atan2", "torch.aten.arctan2")
def atan2(ctx: Lowering) -> ir.Value:
    """The angle of the point (y, x), in all quadrants."""
    y, x = _pair(ctx)
    return formula.atan2(y, x).value


def _log_sum(x: Term, y: Term, base: float) -> Term:
    difference = abs(x - y) * math.log(base)
    total = x.maximum(y) + log1p(exp(-difference)) * (1 / math.log(base))
    return (x.equals(y) & abs(x).equals(math.inf)).where(x, total)


@lowers("torch.aten.logaddexp")
def logaddexp(ctx: Lowering) -> ir.Value:
    """``log(exp(x) + exp(y))`` without overflow."""
    return _log_sum(*_pair(ctx), math.e).value


@lowers("torch.aten.logaddexp2")
def logaddexp2(ctx: Lowering) -> ir.Value:
    """``log2(2 ** x + 2 ** y)`` without overflow."""
    return _log_sum(*_pair(ctx), 2.0).value


@lowers(*(f"torch.aten.xlogy.{form}" for form in ("Tensor", "Scalar_Self", "Scalar_Other")))
def xlogy(ctx: Lowering) -> ir.Value:
    """``x * log(y)``, 0 where x is 0 unless y is NaN."""
    x, y = _pair(ctx)
    return y.differs(y).where(y, x.equals(0).where(0, x * log(y))).value


@lowers("torch.aten.ldexp.Tensor")
def ldexp(ctx: Lowering) -> ir.Value:
    """``x * 2 ** y``."""
    x, y = _pair(ctx)
    return (x * formula.power_of(2.0, y)).value


# --- extremes and signs --------------------------------------------------------------------------


def _extreme(name: str, tosa: str, ignore_nan: bool) -> None:
    @lowers(f"torch.aten.{name}", quantized=Quantized.RESCALED, activations=_BOTH)
    def lower(ctx: Lowering) -> ir.Value:
        """The larger or smaller; fmax and fmin ignore NaN, max and min pass it on."""
        x, y = _pair(ctx)
        return _result(ctx, x.ignoring_nan(tosa, y) if ignore_nan else x.with_(tosa, y))


for _name, _tosa, _ignore in (
    ("fmax", "maximum", True),
    ("fmin", "minimum", True),
    ("max.other", "maximum", False),
    ("min.other", "minimum", False),
):
    _extreme(_name, _tosa, _ignore)


@lowers(*(f"torch.aten.copysign.{form}" for form in _FORMS))
def copysign(ctx: Lowering) -> ir.Value:
    """The size of x with the sign of y, -0.0 included."""
    x, y = _pair(ctx)
    if ctx.is_scalar(1):
        return (-abs(x) if math.copysign(1, ctx.real(1)) < 0 else abs(x)).value
    return formula.signed(abs(x), formula.sign_bit(y)).value


@lowers("torch.aten.heaviside")
def heaviside(ctx: Lowering) -> ir.Value:
    """0 below 0, 1 above, `values` at 0."""
    x, values = _pair(ctx)
    step = (x > 0).where(x.like(1), 0)
    return _result(ctx, x.equals(0).where(values, step))


@lowers("torch.aten.rsub.Tensor", quantized=Quantized.RESCALED, activations=_BOTH)
def rsub(ctx: Lowering) -> ir.Value:
    """`rsub(x, y, alpha)` = y - alpha * x."""
    x, y = _pair(ctx)
    alpha = ctx.scalar(2)
    return _result(ctx, y - (x if alpha == 1 else x * alpha))


# --- comparison and logic ------------------------------------------------------------------------

_COMPARISONS: dict[str, Callable[[Term, Term], Term]] = {
    "eq": lambda x, y: x.equals(y),
    "ne": lambda x, y: x.differs(y),
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
}
# Of bools, so that it needs no integers.
_LOGICAL: dict[str, Callable[[Term, Term], Term]] = {
    "eq": lambda x, y: ~(x ^ y),
    "ne": lambda x, y: x ^ y,
    "lt": lambda x, y: ~x & y,
    "le": lambda x, y: ~x | y,
    "gt": lambda x, y: x & ~y,
    "ge": lambda x, y: x | ~y,
}
_LONG = {
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}


def _comparison(name: str, test: Callable[[Term, Term], Term]) -> None:
    names = [name, *filter(None, [_LONG.get(name)])]

    @lowers(*(f"torch.aten.{name}.{form}" for name in names for form in _FORMS))
    def lower(ctx: Lowering) -> ir.Value:
        """Comparison, in the type that both promote to."""
        if name not in ("eq", "ne"):
            refuse_unsigned(ctx)
        element = promoted(ctx, 0, 1)
        if is_signless_integer(element, 1):
            return _LOGICAL[name](operand(ctx, 0, element), operand(ctx, 1, element)).value
        element = compute_type(element)
        return test(operand(ctx, 0, element), operand(ctx, 1, element)).value


for _name, _test in _COMPARISONS.items():
    _comparison(_name, _test)


def _logic(name: str, combine: Callable[[Term, Term], Term]) -> None:
    @lowers(f"torch.aten.logical_{name}")
    def logical(ctx: Lowering) -> ir.Value:
        """Logic of whether the elements are not 0."""
        return combine(operand(ctx, 0, i(1)), operand(ctx, 1, i(1))).value

    names = (f"bitwise_{name}.Tensor", f"bitwise_{name}.Scalar", f"bitwise_{name}.Scalar_Tensor")

    @lowers(
        *(f"torch.aten.{full}" for full in (*names, f"__{name}__.Tensor", f"__{name}__.Scalar"))
    )
    def bitwise(ctx: Lowering) -> ir.Value:
        """Logic of bits, or of bools."""
        element = ctx.out_element()
        return combine(operand(ctx, 0, element), operand(ctx, 1, element)).value


for _name, _combine in {
    "and": lambda x, y: x & y,
    "or": lambda x, y: x | y,
    "xor": lambda x, y: x ^ y,
}.items():
    _logic(_name, _combine)


# --- shifts --------------------------------------------------------------------------------------


def _shifted_right(x: Term, amount: Term) -> Term:
    shift = x.with_("arithmetic_right_shift", amount)
    shift.value.owner.attributes["round"] = ir.BoolAttr.get(False)
    return shift


def _shift_names(side: str) -> list[str]:
    forms = ("Tensor", "Tensor_Scalar", "Scalar_Tensor")
    return [
        *(f"torch.aten.__{side[0]}shift__.{form}" for form in _FORMS),
        *(f"torch.aten.bitwise_{side}_shift.{form}" for form in forms),
    ]


@lowers(*_shift_names("left"))
def shift_left(ctx: Lowering) -> ir.Value:
    """``x << y``; 0 where y is not a place in the type."""
    x, amount = _pair(ctx)
    element = ctx.out_element()
    bits = element.width
    if ctx.is_scalar(1):
        if not 0 <= ctx.integer(1) < bits:
            return _result(ctx, x * 0)
        return _result(ctx, x.with_("logical_left_shift", amount))
    highest = min(bits, 32) - 1
    shifted = x.with_("logical_left_shift", amount.clamp(0, highest))
    outside = (amount < 0) | (amount > highest)
    return _result(ctx, outside.where(0, shifted))


@lowers(*_shift_names("right"))
def shift_right(ctx: Lowering) -> ir.Value:
    """``x >> y`` with the sign; all of it where y is not a place in the type."""
    x, amount = _pair(ctx)
    if ctx.is_scalar(1):
        place = ctx.integer(1)
        amount = x.like(place if 0 <= place <= 31 else 31)
    else:
        amount = (amount < 0).where(31, amount.clamp(0, 31))
    return _result(ctx, _shifted_right(x, amount))


# --- choice --------------------------------------------------------------------------------------


@lowers(*(f"torch.aten.where.{form}" for form in ("self", "ScalarOther", "ScalarSelf", "Scalar")))
def where(ctx: Lowering) -> ir.Value:
    """`where(condition, x, y)`, each a tensor or a number."""
    element = ctx.out_element()
    condition = operand(ctx, 0, i(1))
    return condition.where(operand(ctx, 1, element), operand(ctx, 2, element)).value


@lowers("torch.aten.masked_fill.Scalar", "torch.aten.masked_fill.Tensor")
def masked_fill(ctx: Lowering) -> ir.Value:
    """`masked_fill(x, mask, value)`."""
    element = ctx.out_element()
    mask = operand(ctx, 1, i(1))
    return mask.where(operand(ctx, 2, element), operand(ctx, 0, element)).value


# --- mixing --------------------------------------------------------------------------------------


@lowers("torch.aten.lerp.Scalar", "torch.aten.lerp.Tensor")
def lerp(ctx: Lowering) -> ir.Value:
    """`lerp(start, end, weight)`, exact at both ends."""
    element = ctx.out_element()
    start, end, weight = (operand(ctx, n, element) for n in range(3))
    near = start + weight * (end - start)
    far = end - (end - start) * (1 - weight)
    if ctx.is_scalar(2):
        return (near if abs(ctx.real(2)) < 0.5 else far).value
    return (abs(weight) < 0.5).where(near, far).value


@lowers("torch.aten.addcmul")
def addcmul(ctx: Lowering) -> ir.Value:
    """`addcmul(x, a, b, value)` = x + value * a * b."""
    x, a, c = _three(ctx)
    value = ctx.scalar(3)
    return _result(ctx, x + (a if value == 1 else a * value) * c)


@lowers("torch.aten.addcdiv")
def addcdiv(ctx: Lowering) -> ir.Value:
    """`addcdiv(x, a, b, value)` = x + value * a / b."""
    x, a, c = _three(ctx)
    value = ctx.scalar(3)
    return _result(ctx, x + (a if value == 1 else a * value) / c)


def _three(ctx: Lowering) -> tuple[Term, Term, Term]:
    refuse_unsigned(ctx)
    element = compute_type(ctx.out_element())
    return operand(ctx, 0, element), operand(ctx, 1, element), operand(ctx, 2, element)


@lowers("torch.aten.isclose")
def isclose(ctx: Lowering) -> ir.Value:
    """`isclose(x, y, rtol, atol, equal_nan)`."""
    element = promoted(ctx, 0, 1)
    exact = not is_float(element)
    element = ir.F32Type.get() if exact else element
    x, y = operand(ctx, 0, element), operand(ctx, 1, element)
    close = x.equals(y)
    if ctx.flag(4):
        close = close | (x.differs(x) & y.differs(y))
    distance = abs(x - y)
    allowed = abs(y) * ctx.real(2) + ctx.real(3)
    return (close | ((distance <= allowed) & (distance < math.inf))).value
