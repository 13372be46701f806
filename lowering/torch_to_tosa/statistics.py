"""Variances, deviations, norms and logarithms of sums."""

from __future__ import annotations

import math

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import element_of, is_float, shape_of
from tosaic.lowering.ops import Lowering, Refusal, lowers
from tosaic.lowering.torch_to_tosa.formula import Term, exp, log, square_root
from tosaic.lowering.torch_to_tosa.normalization import mean_over
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.reduction import (
    extreme_over,
    nonzero,
    reduce_over,
    reduced_axes,
    reduced_count,
)


def _float_input(ctx: Lowering) -> ir.Value:
    return Term(ctx.b, ctx.tensor(0)).converted(ctx.out_element()).value


# --- variances -----------------------------------------------------------------------------------


def _spread(ctx: Lowering) -> tuple[list[int], float]:
    """Return the axes and the correction of a var, std, var_mean or std_mean."""
    kind = aten_name(ctx).removeprefix("torch.aten.").partition(".")[2]
    if kind == "correction":
        return reduced_axes(ctx, 1), 1.0 if ctx.is_none(2) else ctx.real(2)
    if kind == "dim":
        return reduced_axes(ctx, 1), float(ctx.flag(2))
    return reduced_axes(ctx), float(ctx.flag(1))


def _variance(b: Builder, x: ir.Value, axes: list[int], correction: float) -> tuple[Term, Term]:
    """Return variance and mean over `axes`, in two passes."""
    count = reduced_count(x, axes)
    mean = Term(b, mean_over(b, x, axes))
    apart = Term(b, x) - mean
    total = Term(b, reduce_over(b, "reduce_sum", (apart * apart).value, axes))
    freedom = max(0.0, count - correction)
    return total * (1 / freedom if freedom else math.inf), mean


_OVERLOADS = ("", ".dim", ".correction")


@lowers(*(f"torch.aten.{name}{kind}" for name in ("var", "std") for kind in _OVERLOADS))
def var(ctx: Lowering) -> ir.Value:
    """`var(x, dims?, correction, keepdim)` and its root `std`."""
    axes, correction = _spread(ctx)
    variance, _ = _variance(ctx.b, _float_input(ctx), axes, correction)
    root = aten_name(ctx).startswith("torch.aten.std")
    return ctx.b.reshape((square_root(variance) if root else variance).value, ctx.out_shape())


@lowers(*(f"torch.aten.{name}{kind}" for name in ("var_mean", "std_mean") for kind in _OVERLOADS))
def var_mean(ctx: Lowering) -> list[ir.Value]:
    """`var_mean(x, dims?, correction, keepdim)`: both at once."""
    axes, correction = _spread(ctx)
    variance, mean = _variance(ctx.b, _float_input(ctx), axes, correction)
    root = aten_name(ctx).startswith("torch.aten.std")
    first = square_root(variance) if root else variance
    return [ctx.b.reshape(v.value, ctx.out_shape()) for v in (first, mean)]


# --- norms ---------------------------------------------------------------------------------------


def vector_norm(b: Builder, x: ir.Value, order: float, axes: list[int]) -> ir.Value:
    """Return the `order`-norm of float `x` over `axes`, which stay as dims of 1."""
    if order == 0:
        ones = nonzero(b, x).converted(element_of(x)).value
        return reduce_over(b, "reduce_sum", ones, axes)
    if order == 2:
        total = reduce_over(b, "reduce_sum", b.mul(x, x), axes)
        return square_root(Term(b, total)).value
    size = abs(Term(b, x))
    if math.isinf(order):
        return extreme_over(b, size.value, axes, largest=order > 0)
    if order == 1:
        return reduce_over(b, "reduce_sum", size.value, axes)
    total = reduce_over(b, "reduce_sum", size.with_("pow", order).value, axes)
    return Term(b, total).with_("pow", 1 / order).value


def _norm(ctx: Lowering, order: float, axes: list[int]) -> ir.Value:
    x = _float_input(ctx)
    if not is_float(element_of(x)):
        raise Refusal("a norm of complex numbers has no lowering")
    return ctx.b.reshape(vector_norm(ctx.b, x, order, axes), ctx.out_shape())


@lowers("torch.aten.linalg_vector_norm")
def linalg_vector_norm(ctx: Lowering) -> ir.Value:
    """`vector_norm(x, ord, dims?, keepdim, dtype?)`."""
    return _norm(ctx, ctx.real(1), reduced_axes(ctx, 2))


@lowers("torch.aten.linalg_norm")
def linalg_norm(ctx: Lowering) -> ir.Value:
    """`linalg.norm(x, ord?, dims?, keepdim, dtype?)` of vectors; without `ord` of all elements."""
    axes = reduced_axes(ctx, 2)
    if ctx.is_none(1):
        return _norm(ctx, 2.0, axes)
    if len(axes) != 1:
        raise Refusal("the norm of a matrix has no lowering but the Frobenius norm")
    return _norm(ctx, ctx.real(1), axes)


@lowers("torch.aten.linalg_matrix_norm.str_ord", "torch.aten.linalg_norm.ord_str")
def matrix_norm(ctx: Lowering) -> ir.Value:
    """`matrix_norm(x, "fro", dims, keepdim, dtype?)`."""
    if ctx.text(1) != "fro":
        raise Refusal(f"the matrix norm '{ctx.text(1)}' needs singular values, which TOSA has not")
    return _norm(ctx, 2.0, reduced_axes(ctx, 2))


@lowers("torch.aten.frobenius_norm.dim")
def frobenius_norm(ctx: Lowering) -> ir.Value:
    """`frobenius_norm(x, dims, keepdim)`."""
    return _norm(ctx, 2.0, reduced_axes(ctx, 1))


@lowers("torch.aten.norm.Scalar", "torch.aten.norm.ScalarOpt_dim")
def norm(ctx: Lowering) -> ir.Value:
    """`norm(x, p?)` and `norm(x, p?, dims, keepdim)`."""
    order = 2.0 if ctx.is_none(1) else ctx.real(1)
    return _norm(ctx, order, reduced_axes(ctx, 2 if aten_name(ctx).endswith("dim") else None))


@lowers("torch.aten.dist")
def dist(ctx: Lowering) -> ir.Value:
    """`dist(x, y, p)`: the norm of the difference."""
    b = ctx.b
    apart = b.sub(*(b.cast(ctx.tensor(n), ctx.out_element()) for n in (0, 1)))
    whole = list(range(len(shape_of(apart))))
    return b.reshape(vector_norm(b, apart, ctx.real(2), whole), ctx.out_shape())


# --- logarithms of sums --------------------------------------------------------------------------


@lowers("torch.aten.logsumexp")
def logsumexp(ctx: Lowering) -> ir.Value:
    """`logsumexp(x, dims, keepdim)`, shifted by the maximum so that it is finite."""
    b, x, axes = ctx.b, Term(ctx.b, _float_input(ctx)), reduced_axes(ctx, 1)
    best = Term(b, extreme_over(b, x.value, axes, largest=True))
    shift = abs(best).equals(math.inf).where(0, best)
    total = Term(b, reduce_over(b, "reduce_sum", exp(x - shift).value, axes))
    return b.reshape((log(total) + shift).value, ctx.out_shape())
