"""Comparison, logic of bools and of bits, shifts."""

from __future__ import annotations

import math
from collections.abc import Callable

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import i, is_signless_integer
from tosaic.lowering.ops import Lowering, Quantized, Trait, lowers
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type
from tosaic.lowering.torch_to_tosa.promotion import operand, pair, promoted, result

_FORMS = ("Tensor", "Scalar")
_JUMPS = Trait.ELEMENTWISE | Trait.JUMPS

# --- comparison ----------------------------------------------------------------------------------

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


def _comparison(name: str, test: Callable[[Term, Term], Term]) -> None:
    @lowers(
        *(f"torch.aten.{name}.{form}" for form in _FORMS),
        quantized=Quantized.READS,
        activations=(0, 1),
        traits=_JUMPS,
    )
    def lower(ctx: Lowering) -> ir.Value:
        """Comparison, in the type that both promote to."""
        element = promoted(ctx, 0, 1)
        if is_signless_integer(element, 1):
            return _LOGICAL[name](operand(ctx, 0, element), operand(ctx, 1, element)).value
        element = compute_type(element)
        return test(operand(ctx, 0, element), operand(ctx, 1, element)).value


for _name, _test in _COMPARISONS.items():
    _comparison(_name, _test)


@lowers("torch.aten.isclose")
def isclose(ctx: Lowering) -> ir.Value:
    """`isclose(x, y, rtol, atol, equal_nan)`."""
    element = ir.F32Type.get()
    x, y = operand(ctx, 0, element), operand(ctx, 1, element)
    close = x.equals(y)
    if ctx.flag(4):
        close = close | (x.differs(x) & y.differs(y))
    distance = abs(x - y)
    allowed = abs(y) * ctx.real(2) + ctx.real(3)
    return (close | ((distance <= allowed) & (distance < math.inf))).value


# --- logic ---------------------------------------------------------------------------------------


def _logic(name: str, combine: Callable[[Term, Term], Term]) -> None:
    @lowers(f"torch.aten.logical_{name}", traits=_JUMPS)
    def logical(ctx: Lowering) -> ir.Value:
        """Logic of whether the elements are not 0."""
        return combine(operand(ctx, 0, i(1)), operand(ctx, 1, i(1))).value

    names = (f"bitwise_{name}.Tensor", f"bitwise_{name}.Scalar", f"bitwise_{name}.Scalar_Tensor")

    @lowers(
        *(f"torch.aten.{full}" for full in (*names, f"__{name}__.Tensor", f"__{name}__.Scalar")),
        traits=_JUMPS,
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


def shifted_right(x: Term, amount: Term) -> Term:
    """Return ``x >> amount``, the sign moved in."""
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
    x, amount = pair(ctx)
    element = ctx.out_element()
    bits = element.width
    if ctx.is_scalar(1):
        if not 0 <= ctx.integer(1) < bits:
            return result(ctx, x * 0)
        return result(ctx, x.with_("logical_left_shift", amount))
    highest = min(bits, 32) - 1
    shifted = x.with_("logical_left_shift", amount.clamp(0, highest))
    outside = (amount < 0) | (amount > highest)
    return result(ctx, outside.where(0, shifted))


@lowers(*_shift_names("right"))
def shift_right(ctx: Lowering) -> ir.Value:
    """``x >> y`` with the sign; all of it where y is not a place in the type."""
    x, amount = pair(ctx)
    if ctx.is_scalar(1):
        place = ctx.integer(1)
        amount = x.like(place if 0 <= place <= 31 else 31)
    else:
        amount = (amount < 0).where(31, amount.clamp(0, 31))
    return result(ctx, shifted_right(x, amount))
