"""Variances, deviations, norms, histograms and logarithms of sums."""

from __future__ import annotations

import math

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, element_of, f32, i, is_float, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.quantization.arithmetic import requantized, rescaled, widened
from tosaic.lowering.quantization.fixed_point import (
    lookup,
    normalize,
    reciprocal_root,
    shifted_right,
)
from tosaic.lowering.quantization.softmax import log_sum_exp
from tosaic.lowering.torch_to_tosa.formula import Term, exp, log, power, square_root
from tosaic.lowering.torch_to_tosa.normalization import mean_over
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import part, refuse_many, static_shape
from tosaic.lowering.torch_to_tosa.reduction import (
    extreme_over,
    nonzero,
    reduce_over,
    reduced_axes,
    reduced_count,
)


def _float_input(ctx: Lowering) -> ir.Value:
    return Term(ctx.b, ctx.tensor(0)).converted(ctx.out_element()).value


# --- int8 ----------------------------------------------------------------------------------------

_CENTRE_BITS = 7  # fractional bits of x - mean, whose square fits in int32
_ROOT_BITS = 14


def _integer_root(b: Builder, total: ir.Value) -> ir.Value:
    """Return the root of i32 `total` from 0, with 14 fractional bits, good to about 14 bits.

    With total = m * 2**e, the root is m / sqrt(m) * 2**(e / 2); an odd e leaves a factor sqrt(2).
    """
    normal = normalize(b, total)
    mantissa = rescaled(b, normal.mantissa, 2.0**-17, i(32))
    root = rescaled(b, b.mul(mantissa, reciprocal_root(b, normal.mantissa)), 2.0**-14, i(32))
    exponents = 31.0 - np.clip(np.arange(-128, 128), 0, 31)
    index = rescaled(b, normal.shift, 1.0, i(8))
    factor = lookup(b, index, np.where(exponents % 2, 2.0**14.5, 2.0**14), 15)
    return shifted_right(b, b.mul(root, factor), lookup(b, index, 15 - np.floor(exponents / 2), 7))


def _squares(b: Builder, x: ir.Value, axes: list[int], bits: int) -> tuple[ir.Value, int]:
    """Return the sum of squares of i32 `x`, of up to `bits` bits, and how far it was halved."""
    headroom = max(0, math.ceil(math.log2(reduced_count(x, axes))) + 2 * bits - 30)
    square = b.mul(x, x)
    if headroom:
        square = rescaled(b, square, 2.0**-headroom, i(32))
    return reduce_over(b, "reduce_sum", square, axes), headroom


def _integer_result(
    ctx: Lowering, total: ir.Value, unit: float, out: QuantParams, *, root: bool
) -> ir.Value:
    b = ctx.b
    if root:
        total, unit = _integer_root(b, total), math.sqrt(unit) / 2**_ROOT_BITS
    return b.reshape(requantized(b, total, unit, out), ctx.out_shape())


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
    if not count:
        return mean, mean  # not a number
    apart = Term(b, x) - mean
    total = Term(b, reduce_over(b, "reduce_sum", (apart * apart).value, axes))
    freedom = max(0.0, count - correction)
    return total * (1 / freedom if freedom else math.inf), mean


def _integer_var(ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams) -> ir.Value:
    b, (axes, correction) = ctx.b, _spread(ctx)
    count = reduced_count(x, axes)
    if count <= correction:
        raise Refusal("the variance of so few elements is not a number")
    wide = widened(b, x, params, params.scale)
    mean = reduce_over(b, "reduce_sum", wide, axes)
    fine = 2.0**_CENTRE_BITS
    centred = b.sub(rescaled(b, wide, fine, i(32)), rescaled(b, mean, fine / count, i(32)))
    total, headroom = _squares(b, centred, axes, 8 + _CENTRE_BITS)
    unit = params.scale**2 / (count - correction) * 2.0 ** (headroom - 2 * _CENTRE_BITS)
    root = aten_name(ctx).startswith("torch.aten.std")
    return _integer_result(ctx, total, unit, out, root=root)


_OVERLOADS = ("", ".dim", ".correction")


@lowers(
    *(f"torch.aten.{name}{kind}" for name in ("var", "std") for kind in _OVERLOADS),
    quantized=Quantized.COMPOSITE,
    integer=_integer_var,
    output_range=(0.0, math.inf),
    precise=True,
)
def var(ctx: Lowering) -> ir.Value:
    """`var(x, dims?, correction, keepdim)` and its root `std`."""
    axes, correction = _spread(ctx)
    variance, _ = _variance(ctx.b, _float_input(ctx), axes, correction)
    root = aten_name(ctx).startswith("torch.aten.std")
    return ctx.b.reshape((square_root(variance) if root else variance).value, ctx.out_shape())


@lowers(
    *(f"torch.aten.{name}{kind}" for name in ("var_mean", "std_mean") for kind in _OVERLOADS),
    precise=True,
)
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
    total = reduce_over(b, "reduce_sum", power(size, size.like(order)).value, axes)
    root = Term(b, total)
    return power(root, root.like(1 / order)).value


def _norm(ctx: Lowering, order: float, axes: list[int]) -> ir.Value:
    x = _float_input(ctx)
    if not is_float(element_of(x)):
        raise Refusal("a norm of complex numbers has no lowering")
    return ctx.b.reshape(vector_norm(ctx.b, x, order, axes), ctx.out_shape())


def _integer_norm(ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams) -> ir.Value:
    b, order, axes = ctx.b, ctx.real(1), reduced_axes(ctx, 2)
    wide = widened(b, x, params, params.scale)
    if order == 2:
        total, headroom = _squares(b, wide, axes, 8)
        return _integer_result(ctx, total, params.scale**2 * 2.0**headroom, out, root=True)
    if order != 1 and not math.isinf(order):
        raise Refusal(f"a quantised norm of order {order:g} has no lowering; choose 1, 2 or inf")
    size = b.unary("tosa.abs", wide)
    if order == 1:
        size = reduce_over(b, "reduce_sum", size, axes)
    else:
        size = extreme_over(b, size, axes, largest=order > 0)
    return _integer_result(ctx, size, params.scale, out, root=False)


@lowers(
    "torch.aten.linalg_vector_norm",
    quantized=Quantized.COMPOSITE,
    integer=_integer_norm,
    output_range=(0.0, math.inf),
    precise=True,
)
def linalg_vector_norm(ctx: Lowering) -> ir.Value:
    """`vector_norm(x, ord, dims?, keepdim, dtype?)`."""
    return _norm(ctx, ctx.real(1), reduced_axes(ctx, 2))


@lowers("torch.aten.linalg_norm", precise=True)
def linalg_norm(ctx: Lowering) -> ir.Value:
    """`linalg.norm(x, ord?, dims?, keepdim, dtype?)` of vectors; without `ord` of all elements."""
    axes = reduced_axes(ctx, 2)
    if ctx.is_none(1):
        return _norm(ctx, 2.0, axes)
    if len(axes) != 1:
        raise Refusal("the norm of a matrix has no lowering but the Frobenius norm")
    return _norm(ctx, ctx.real(1), axes)


@lowers("torch.aten.linalg_matrix_norm.str_ord", "torch.aten.linalg_norm.ord_str", precise=True)
def matrix_norm(ctx: Lowering) -> ir.Value:
    """`matrix_norm(x, "fro", dims, keepdim, dtype?)`."""
    if ctx.text(1) != "fro":
        raise Refusal(f"the matrix norm '{ctx.text(1)}' needs singular values, which TOSA has not")
    return _norm(ctx, 2.0, reduced_axes(ctx, 2))


@lowers("torch.aten.frobenius_norm.dim", precise=True)
def frobenius_norm(ctx: Lowering) -> ir.Value:
    """`frobenius_norm(x, dims, keepdim)`."""
    return _norm(ctx, 2.0, reduced_axes(ctx, 1))


@lowers("torch.aten.norm.Scalar", "torch.aten.norm.ScalarOpt_dim", precise=True)
def norm(ctx: Lowering) -> ir.Value:
    """`norm(x, p?)` and `norm(x, p?, dims, keepdim)`."""
    order = 2.0 if ctx.is_none(1) else ctx.real(1)
    return _norm(ctx, order, reduced_axes(ctx, 2 if aten_name(ctx).endswith("dim") else None))


@lowers("torch.aten.renorm", precise=True)
def renorm(ctx: Lowering) -> ir.Value:
    """`renorm(x, p, dim, most)`: slices along dim whose norm exceeds `most` are scaled to it."""
    b, x = ctx.b, Term(ctx.b, ctx.tensor(0))
    rank, most = len(shape_of(x.value)), ctx.real(3)
    axes = [k for k in range(rank) if k != ctx.dim(2, rank)]
    size = Term(b, vector_norm(b, x.value, ctx.real(1), axes))
    return (x * (size > most).where(most / (size + 1e-7), 1)).value


# --- histograms ----------------------------------------------------------------------------------


def _edges(b: Builder, low: Term, high: Term, bins: int) -> Term:
    """Return `bins` + 1 numbers from `low` to `high`, counted from the nearer end."""
    steps = np.arange(bins + 1)
    near, far = (Term(b, b.const(n, low.element)) for n in (steps, bins - steps))
    step = (high - low) * (1 / bins)
    first = Term(b, b.const(steps <= bins // 2, i(1)))
    return first.where(low + step * near, high - step * far)


@lowers("torch.aten.histc")
def histc(ctx: Lowering) -> ir.Value:
    """`histc(x, bins, min, max)`: how many elements lie in each of equal bins."""
    b, bins, low, high = ctx.b, ctx.integer(1), ctx.real(2), ctx.real(3)
    count = math.prod(static_shape(ctx.tensor(0)))
    refuse_many(count * bins, "sorting into bins")
    x = Term(b, b.reshape(ctx.tensor(0), [count, 1])).converted(f32())
    if low == high:
        found = [extreme_over(b, x.value, [0], largest=side) for side in (False, True)]
        ends = [Term(b, b.reshape(value, [1])) for value in found]
        flat = ends[0].equals(ends[1])
        ends = [flat.where(ends[0] - 1, ends[0]), flat.where(ends[1] + 1, ends[1])]
    else:
        ends = [Term(b, b.const(np.array([v]), x.element)) for v in (low, high)]
    edges = _edges(b, ends[0], ends[1], bins)
    above = (x >= edges) & (x <= ends[1])
    total = b.reduce("tosa.reduce_sum", above.converted(x.element).value, 0)
    counts = [Term(b, part(b, total, 1, start, bins)) for start in (0, 1)]
    last = Term(b, b.const(np.arange(bins) == bins - 1, i(1)))
    # The last bin holds its upper end too.
    inside = counts[0] - last.where(0, counts[1])
    return b.reshape(inside.converted(ctx.out_element()).value, ctx.out_shape())


# --- logarithms of sums --------------------------------------------------------------------------


def _integer_logsumexp(
    ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams
) -> ir.Value:
    b, shape, axes = ctx.b, static_shape(x), reduced_axes(ctx, 1)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    lines = b.transpose(x, [*kept, *axes])
    count = math.prod(shape[axis] for axis in axes)
    lines = b.reshape(lines, [*(shape[axis] for axis in kept), count])
    result = log_sum_exp(b, lines, params, out, axis=len(kept))
    return b.reshape(result, ctx.out_shape())


@lowers(
    "torch.aten.logsumexp",
    quantized=Quantized.COMPOSITE,
    integer=_integer_logsumexp,
    precise=True,
)
def logsumexp(ctx: Lowering) -> ir.Value:
    """`logsumexp(x, dims, keepdim)`, shifted by the maximum so that it is finite."""
    b, x, axes = ctx.b, Term(ctx.b, _float_input(ctx)), reduced_axes(ctx, 1)
    best = Term(b, extreme_over(b, x.value, axes, largest=True))
    shift = abs(best).equals(math.inf).where(0, best)
    total = Term(b, reduce_over(b, "reduce_sum", exp(x - shift).value, axes))
    return b.reshape((log(total) + shift).value, ctx.out_shape())
