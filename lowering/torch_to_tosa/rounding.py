"""Rounding, signs and the kinds of numbers: whole, finite, NaN."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import i, is_float, is_signless_integer, is_static
from tosaic.lowering.ops import Lowering, Quantized, Refusal, Trait, lowers
from tosaic.lowering.torch_to_tosa import formula
from tosaic.lowering.torch_to_tosa.exact import Array, table
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type, trunc
from tosaic.lowering.torch_to_tosa.promotion import operand, precise_type, result

# --- rounding ------------------------------------------------------------------------------------


def _enter(name: str, formula_: Callable[[Term], Term]) -> None:
    @lowers(f"torch.aten.{name}", quantized=Quantized.TABLE, traits=Trait.JUMPS)
    def lower(ctx: Lowering) -> ir.Value:
        """Rounding; integers are whole."""
        x = operand(ctx, 0, ctx.out_element())
        return formula_(x).value if is_float(x.element) else x.value


for _name, _formula in {
    "ceil": lambda x: x.apply("ceil"),
    "floor": lambda x: x.apply("floor"),
    "trunc": trunc,
}.items():
    _enter(_name, _formula)


@lowers("torch.aten.frac", quantized=Quantized.TABLE, traits=Trait.JUMPS, output_range=(-1.0, 1.0))
def frac(ctx: Lowering) -> ir.Value:
    """``x - trunc(x)``."""
    x = operand(ctx, 0, ctx.out_element())
    return (x - trunc(x)).value


@lowers(
    "torch.aten.round",
    quantized=Quantized.TABLE,
    traits=Trait.JUMPS,
    integer=table(lambda ctx, x: np.rint(x)),
    integer_bits=(8, 16),
)
def round_(ctx: Lowering) -> ir.Value:
    """Round half to even."""
    x = operand(ctx, 0, ctx.out_element())
    return formula.rounded(x).value if is_float(x.element) else x.value


def _exact_decimals(ctx: Lowering, x: Array) -> Array:
    unit = 10.0 ** ctx.integer(1)
    return np.asarray(np.rint(x * unit) / unit)


@lowers(
    "torch.aten.round.decimals",
    quantized=Quantized.TABLE,
    traits=Trait.JUMPS,
    integer=table(_exact_decimals),
    integer_bits=(8, 16),
)
def round_decimals(ctx: Lowering) -> ir.Value:
    """`round(x, decimals)`: 10**decimals is multiplied in and divided out, as PyTorch does."""
    decimals = ctx.integer(1)
    x = operand(ctx, 0, precise_type(ctx.out_element()))
    if not is_float(x.element):
        if decimals < 0:
            raise Refusal("integers rounded to tens have no lowering; convert to float first")
        return result(ctx, x)
    unit = x.like(10.0 ** abs(decimals))
    if decimals < 0:
        return result(ctx, formula.rounded(formula.quotient(x, unit)) * unit)
    if decimals == 0:
        return result(ctx, formula.rounded(x))
    return result(ctx, formula.quotient(formula.rounded(x * unit), unit))


# --- signs ---------------------------------------------------------------------------------------


@lowers("torch.aten.abs", quantized=Quantized.TABLE, traits=Trait.CHEAP)
def absolute(ctx: Lowering) -> ir.Value:
    """``|x|``."""
    return result(ctx, abs(operand(ctx, 0, compute_type(ctx.out_element()))))


@lowers("torch.aten.neg", quantized=Quantized.TABLE, traits=Trait.CHEAP)
def neg(ctx: Lowering) -> ir.Value:
    """``-x``."""
    return result(ctx, -operand(ctx, 0, compute_type(ctx.out_element())))


@lowers("torch.aten.positive", quantized=Quantized.SHARED, traits=Trait.MOVES)
def positive(ctx: Lowering) -> ir.Value:
    """x itself."""
    return ctx.tensor(0)


@lowers(
    "torch.aten.sign",
    "torch.aten.sgn",
    quantized=Quantized.TABLE,
    traits=Trait.JUMPS,
    output_range=(-1.0, 1.0),
)
def sign(ctx: Lowering) -> ir.Value:
    """-1, 0 or 1; NaN gives 0."""
    element = ctx.out_element()
    if is_signless_integer(element, 1):
        return ctx.tensor(0)
    x = operand(ctx, 0, compute_type(element))
    return result(ctx, (x > 0).where(x.like(1), (x < 0).where(x.like(-1), 0)))


@lowers("torch.aten.signbit")
def signbit(ctx: Lowering) -> ir.Value:
    """Whether x is negative; -0.0 is."""
    x = Term(ctx.b, ctx.tensor(0))
    if is_signless_integer(x.element, 1):
        return (x & ~x).value
    return formula.sign_bit(x.at_least_i32()).value


# --- kinds of numbers ----------------------------------------------------------------------------

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
        return ctx.b.filled(shape, of_integers, i(1))


for _name, (_fn, _of_integers) in _TESTS.items():
    _test(_name, _fn, _of_integers)


@lowers("torch.aten.logical_not", traits=Trait.ELEMENTWISE | Trait.JUMPS)
def logical_not(ctx: Lowering) -> ir.Value:
    """Whether x is 0."""
    return (~operand(ctx, 0, i(1))).value


@lowers("torch.aten.bitwise_not", traits=Trait.ELEMENTWISE | Trait.JUMPS)
def bitwise_not(ctx: Lowering) -> ir.Value:
    """The bits of x inverted; of a bool, not x."""
    return (~operand(ctx, 0, ctx.out_element())).value
