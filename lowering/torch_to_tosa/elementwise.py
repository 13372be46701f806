"""Arithmetic and choice on tensors and numbers, promoted and broadcast as PyTorch does."""

from __future__ import annotations

import math
from collections.abc import Callable

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import i, is_signless_integer
from tosaic.lowering.ops import Lowering, Quantized, Trait, lowers
from tosaic.lowering.torch_to_tosa import formula
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.promotion import (
    number,
    operand,
    pair,
    precise_pair,
    precise_type,
    result,
)

_BOTH = (0, 1)
_FORMS = ("Tensor", "Scalar")
_CHEAP = Trait.ELEMENTWISE | Trait.CHEAP
_CHOICE = Trait.ELEMENTWISE | Trait.JUMPS


def _forms(*names: str) -> list[str]:
    return [f"torch.aten.{name}.{form}" for name in names for form in _FORMS]


# --- sums and products ---------------------------------------------------------------------------


def _of_bools(ctx: Lowering) -> bool:
    return is_signless_integer(ctx.out_element(), 1)


def _sum(ctx: Lowering, combine: Callable[[Term, Term], Term], scaled: int) -> ir.Value:
    """Combine operands 0 and 1, of which `scaled` is multiplied by operand 2 first."""
    factor = number(ctx, 2)
    if factor == 1:
        return result(ctx, combine(*pair(ctx)))
    terms = list(precise_pair(ctx))
    terms[scaled] = terms[scaled] * factor
    return result(ctx, combine(*terms))


@lowers(*_forms("add"), quantized=Quantized.SUM, activations=_BOTH, traits=_CHEAP)
def add(ctx: Lowering) -> ir.Value:
    """`add(x, y, alpha)` = x + alpha * y; of bools, whether one of them is true."""
    if _of_bools(ctx) and number(ctx, 2):
        return (operand(ctx, 0, i(1)) | operand(ctx, 1, i(1))).value
    return _sum(ctx, lambda x, y: x + y, 1)


@lowers(*_forms("sub"), quantized=Quantized.SUM, activations=_BOTH, traits=_CHEAP)
def sub(ctx: Lowering) -> ir.Value:
    """`sub(x, y, alpha)` = x - alpha * y."""
    return _sum(ctx, lambda x, y: x - y, 1)


@lowers("torch.aten.rsub.Scalar", quantized=Quantized.SUM, traits=_CHEAP)
def rsub(ctx: Lowering) -> ir.Value:
    """`rsub(x, number, alpha)` = number - alpha * x."""
    return _sum(ctx, lambda x, y: y - x, 0)


@lowers("torch.aten.rsub.Tensor", quantized=Quantized.SUM, activations=_BOTH, traits=_CHEAP)
def rsub_tensor(ctx: Lowering) -> ir.Value:
    """`rsub(x, y, alpha)` = y - alpha * x."""
    return _sum(ctx, lambda x, y: y - x, 0)


@lowers(*_forms("mul"), quantized=Quantized.RESCALED, activations=_BOTH, traits=_CHEAP)
def mul(ctx: Lowering) -> ir.Value:
    """`mul(x, y)`; of bools, whether both are true."""
    if _of_bools(ctx):
        return (operand(ctx, 0, i(1)) & operand(ctx, 1, i(1))).value
    x, y = pair(ctx)
    return result(ctx, x * y)


@lowers(
    *_forms("div"),
    quantized=Quantized.RESCALED,
    activations=_BOTH,
    traits=_CHEAP,
    integer_bits=(8,),
)
def div(ctx: Lowering) -> ir.Value:
    """True division; by a number it is one multiplication."""
    x, y = precise_pair(ctx)
    if ctx.is_scalar(1) and ctx.real(1) != 0:
        return result(ctx, x * (1.0 / ctx.real(1)))
    return result(ctx, x / y)


# --- extremes and signs --------------------------------------------------------------------------


def _extreme(name: str, tosa: str, ignore_nan: bool) -> None:
    @lowers(f"torch.aten.{name}", quantized=Quantized.RESCALED, activations=_BOTH, traits=_CHEAP)
    def lower(ctx: Lowering) -> ir.Value:
        """The larger or smaller; fmax and fmin ignore NaN, the others pass it on."""
        x, y = pair(ctx)
        return result(ctx, x.ignoring_nan(tosa, y) if ignore_nan else x.with_(tosa, y))


for _name, _tosa, _ignore in (
    ("maximum", "maximum", False),
    ("minimum", "minimum", False),
    ("max.other", "maximum", False),
    ("min.other", "minimum", False),
    ("fmax", "maximum", True),
    ("fmin", "minimum", True),
):
    _extreme(_name, _tosa, _ignore)


@lowers(*_forms("copysign"))
def copysign(ctx: Lowering) -> ir.Value:
    """The size of x with the sign of y, -0.0 included."""
    x, y = pair(ctx)
    if ctx.is_scalar(1):
        return (-abs(x) if math.copysign(1, ctx.real(1)) < 0 else abs(x)).value
    return formula.signed(abs(x), formula.sign_bit(y)).value


@lowers("torch.aten.heaviside")
def heaviside(ctx: Lowering) -> ir.Value:
    """0 below 0, 1 above, `values` at 0."""
    x, values = pair(ctx)
    step = (x > 0).where(x.like(1), 0)
    return result(ctx, x.equals(0).where(values, step))


# --- choice --------------------------------------------------------------------------------------


@lowers(
    *(f"torch.aten.where.{form}" for form in ("self", "ScalarOther", "ScalarSelf", "Scalar")),
    quantized=Quantized.RESCALED,
    activations=(1, 2),
    traits=_CHOICE,
)
def where(ctx: Lowering) -> ir.Value:
    """`where(condition, x, y)`, each a tensor or a number."""
    element = ctx.out_element()
    condition = operand(ctx, 0, i(1))
    return condition.where(operand(ctx, 1, element), operand(ctx, 2, element)).value


@lowers(
    "torch.aten.masked_fill.Scalar",
    "torch.aten.masked_fill.Tensor",
    quantized=Quantized.RESCALED,
    activations=(0, 2),
    traits=_CHOICE,
)
def masked_fill(ctx: Lowering) -> ir.Value:
    """`masked_fill(x, mask, value)`."""
    element = ctx.out_element()
    mask = operand(ctx, 1, i(1))
    return mask.where(operand(ctx, 2, element), operand(ctx, 0, element)).value


# --- mixing --------------------------------------------------------------------------------------


@lowers("torch.aten.lerp.Scalar", "torch.aten.lerp.Tensor")
def lerp(ctx: Lowering) -> ir.Value:
    """`lerp(start, end, weight)`, exact at both ends."""
    start, end, weight = _three(ctx)
    near = start + weight * (end - start)
    far = end - (end - start) * (1 - weight)
    if ctx.is_scalar(2):
        return result(ctx, near if abs(ctx.real(2)) < 0.5 else far)
    return result(ctx, (abs(weight) < 0.5).where(near, far))


@lowers("torch.aten.addcmul")
def addcmul(ctx: Lowering) -> ir.Value:
    """`addcmul(x, a, b, value)` = x + value * a * b."""
    x, a, c = _three(ctx)
    value = number(ctx, 3)
    return result(ctx, x + (a if value == 1 else a * value) * c)


@lowers("torch.aten.addcdiv")
def addcdiv(ctx: Lowering) -> ir.Value:
    """`addcdiv(x, a, b, value)` = x + value * a / b."""
    x, a, c = _three(ctx)
    value = number(ctx, 3)
    return result(ctx, x + (a if value == 1 else a * value) / c)


def _three(ctx: Lowering) -> tuple[Term, Term, Term]:
    element = precise_type(ctx.out_element())
    return operand(ctx, 0, element), operand(ctx, 1, element), operand(ctx, 2, element)
