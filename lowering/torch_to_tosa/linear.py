"""Matrix products: by a constant as a 1x1 convolution, by an activation as MATMUL.

TOSA multiplies matrices of floats and int8; other integers are multiplied element by element and
summed. Products are added up in f32 or i32 and rounded at the end, as PyTorch does it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import DYNAMIC, element_of, is_float, is_signless_integer, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import broadcast, refuse_many, rolled, static_shape
from tosaic.lowering.torch_to_tosa.promotion import number_of

_FORWARDING = {
    "tosa.transpose",
    "tosa.reshape",
    "tosa.slice",
    "tosa.identity",
    "quant.dcast",
    "quant.qcast",
    "quant.scast",
    "tosa.cast",
    "torch_c.to_builtin_tensor",
    "torch_c.from_builtin_tensor",
}


def is_constant(value: ir.Value) -> bool:
    """Return whether `value` is a constant, possibly cast or moved around."""
    owner = value.owner
    while not isinstance(owner, ir.Block) and owner.name in _FORWARDING:
        owner = owner.operands[0].owner
    return not isinstance(owner, ir.Block) and owner.name in ("tosa.const", "torch.vtensor.literal")


def product(b: Builder, x: ir.Value, weight: ir.Value, bias: ir.Value | None) -> ir.Value:
    """Return ``x @ weight.T + bias`` for `x` [..., K] and `weight` [N, K].

    A constant weight makes a 1x1 convolution with the rows of `x` along W, which is what Ethos-U
    computes fastest; rank-4 `x` needs no reshape.
    """
    shape, element = shape_of(x), element_of(x)
    n, k = shape_of(weight)
    if not (is_constant(weight) and is_float(element)):
        total = Term(b, summed_products(b, x, b.transpose(weight, (1, 0))))
        if bias is not None:
            total = total + Term(b, bias).converted(total.element)
        return total.converted(element).value
    if bias is None:
        bias = b.const(np.zeros(n), element)
    rows = x if len(shape) == 4 else b.reshape(x, as_rows(shape))
    y = b.conv2d(rows, b.reshape(weight, [n, 1, 1, k]), bias)
    return y if len(shape) == 4 else b.reshape(y, [*shape[:-1], n])


def as_rows(shape: list[int]) -> list[int]:
    """Return the NHWC shape that lays the rows of [..., K] along W."""
    rows = DYNAMIC if DYNAMIC in shape[:-1] else math.prod(shape[:-1])
    return [1, 1, rows, shape[-1]]


def matmul(b: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return ``torch.matmul(x, y)`` for ranks of at least 2, batch dims broadcast."""
    return Term(b, summed_products(b, x, y)).converted(element_of(x)).value


def summed_products(b: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return the same as `matmul` does, in the type that it is added up in."""
    x, y = b.equal_ranks(x, y)
    a, c = shape_of(x), shape_of(y)
    if DYNAMIC in a[:-2] + c[:-2] and len(a) > 3:
        raise Refusal("batch dims of a matrix product are dynamic; specialise the shapes")
    batch = [
        max(p, q) if DYNAMIC not in (p, q) else DYNAMIC for p, q in zip(a[:-2], c[:-2], strict=True)
    ]
    x, y = _batched(b, x, batch), _batched(b, y, batch)
    native = is_float(element_of(x)) or is_signless_integer(element_of(x), 8)
    out = b.matmul(x, y) if native else _multiplied(b, x, y)
    return b.reshape(out, [*batch, a[-2], c[-1]])


def _batched(b: Builder, x: ir.Value, batch: list[int]) -> ir.Value:
    """Return `x` [..., H, W] repeated over `batch`, as [N, H, W]."""
    shape = shape_of(x)
    repeats = [
        t // d if DYNAMIC not in (t, d) else 1 for d, t in zip(shape[:-2], batch, strict=True)
    ]
    x = b.tile(x, [*repeats, 1, 1])
    total = DYNAMIC if DYNAMIC in batch else math.prod(batch)
    return b.reshape(x, [total, *shape[-2:]])


def _multiplied(b: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return the product of integers [N,H,C] and [N,C,W], element by element."""
    (n, h, c), w = static_shape(x), static_shape(y)[2]
    refuse_many(n * h * c * w, "a product of integer matrices")
    left, right = (Term(b, v).at_least_i32().value for v in (x, y))
    pairs = b.mul(b.reshape(left, [n, h, c, 1]), b.reshape(right, [n, 1, c, w]))
    return b.reshape(b.reduce("tosa.reduce_sum", pairs, 2), [n, h, w])


def _by_matrix(b: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return ``x @ y`` for a matrix `y`, in any type that holds it."""
    if is_constant(y) and is_float(element_of(x)):
        return product(b, x, b.transpose(y, (1, 0)), None)
    return summed_products(b, x, y)


def _result(ctx: Lowering, value: ir.Value) -> ir.Value:
    shaped = ctx.b.reshape(value, ctx.out_shape())
    return Term(ctx.b, shaped).converted(ctx.out_element()).value


@lowers("torch.aten.linear", quantized=Quantized.WEIGHTED, weight=1, bias=2)
def linear(ctx: Lowering) -> ir.Value:
    """`linear(input, weight, bias?)`; input [..., K] or [K]."""
    b, x, weight = ctx.b, ctx.tensor(0), ctx.tensor(1)
    if len(shape_of(x)) == 1:
        x = b.reshape(x, [1, *shape_of(x)])
    if len(shape_of(weight)) == 1:
        weight = b.reshape(weight, [1, *shape_of(weight)])
    return b.reshape(product(b, x, weight, ctx.optional(2)), ctx.out_shape())


@lowers("torch.aten.mm", quantized=Quantized.RESCALED, activations=(0, 1))
def mm(ctx: Lowering) -> ir.Value:
    """`mm(a, b)`."""
    return _result(ctx, _by_matrix(ctx.b, ctx.tensor(0), ctx.tensor(1)))


@lowers("torch.aten.bmm", "torch.aten.matmul", quantized=Quantized.RESCALED, activations=(0, 1))
def batched(ctx: Lowering) -> ir.Value:
    """`bmm(a, b)` and `matmul(a, b)`, which also takes vectors."""
    b, x, y = ctx.b, ctx.tensor(0), ctx.tensor(1)
    if len(shape_of(x)) == 1:
        x = b.reshape(x, [1, *shape_of(x)])
    y = _columns(b, y)
    return _result(ctx, _by_matrix(b, x, y) if len(shape_of(y)) == 2 else summed_products(b, x, y))


def _columns(b: Builder, y: ir.Value) -> ir.Value:
    """Return a vector as a matrix of one column."""
    return b.reshape(y, [*shape_of(y), 1]) if len(shape_of(y)) == 1 else y


@lowers(
    "torch.aten.mv",
    "torch.aten.dot",
    "torch.aten.vdot",
    quantized=Quantized.RESCALED,
    activations=(0, 1),
)
def by_vector(ctx: Lowering) -> ir.Value:
    """`mv(matrix, vector)` and `dot(vector, vector)`."""
    b, x, y = ctx.b, ctx.tensor(0), ctx.tensor(1)
    rows = x if len(shape_of(x)) == 2 else b.reshape(x, [1, *shape_of(x)])
    return _result(ctx, _by_matrix(b, rows, _columns(b, y)))


def _outer(b: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    left, right = (Term(b, v).at_least_i32().value for v in (x, y))
    return b.mul(b.reshape(left, [*shape_of(x), 1]), b.reshape(right, [1, *shape_of(y)]))


@lowers("torch.aten.outer", "torch.aten.ger", quantized=Quantized.RESCALED, activations=(0, 1))
def outer(ctx: Lowering) -> ir.Value:
    """`outer(x, y)`: every product of an element of each."""
    x, y = _both(ctx)
    return _result(ctx, _outer(ctx.b, x.value, y.value))


@lowers("torch.aten.inner", quantized=Quantized.RESCALED, activations=(0, 1))
def inner(ctx: Lowering) -> ir.Value:
    """`inner(x, y)`: sums of products over the last dim of both."""
    b, x, y = ctx.b, ctx.tensor(0), ctx.tensor(1)
    if not shape_of(x) or not shape_of(y):
        left, right = (Term(b, v).at_least_i32() for v in (x, y))
        return _result(ctx, (left * right).value)
    left, right = (b.reshape(v, [as_rows(shape_of(v))[2], shape_of(v)[-1]]) for v in (x, y))
    return _result(ctx, _by_matrix(b, left, b.transpose(right, (1, 0))))


# --- sums with products --------------------------------------------------------------------------


def _sum_over_batch(b: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    return b.reduce("tosa.reduce_sum", summed_products(b, x, y), 0)


# Name -> the product that is added to; all are `(sum, x, y, beta, alpha)`.
_SUMS: dict[str, Callable[[Builder, ir.Value, ir.Value], ir.Value]] = {
    "torch.aten.baddbmm": summed_products,
    "torch.aten.addbmm": _sum_over_batch,
    "torch.aten.addmv": lambda b, x, y: _by_matrix(b, x, _columns(b, y)),
    "torch.aten.addr": _outer,
}


def _added(ctx: Lowering, multiply: Callable[[Builder, ir.Value, ir.Value], ir.Value]) -> ir.Value:
    """Return ``beta * sum + alpha * (x @ y)``; a beta of 0 drops the sum, whatever it holds."""
    b, beta, alpha = ctx.b, _factor(ctx, 3), _factor(ctx, 4)
    found = Term(b, b.reshape(multiply(b, ctx.tensor(1), ctx.tensor(2)), ctx.out_shape()))
    found = found if alpha == 1 else found * alpha
    if beta != 0:
        total = Term(b, ctx.tensor(0)).converted(found.element)
        found = found + (total if beta == 1 else total * beta)
    return _result(ctx, found.value)


def _factor(ctx: Lowering, index: int) -> float:
    number = number_of(ctx, index)
    return ctx.scalar(index) if number is None else number


@lowers(*_SUMS)
def add_product(ctx: Lowering) -> ir.Value:
    """`baddbmm(sum, x, y, beta, alpha)` = beta*sum + alpha*(x @ y), and its kin."""
    return _added(ctx, _SUMS[aten_name(ctx)])


@lowers(
    "torch.aten.addmm",
    quantized=Quantized.WEIGHTED,
    activations=(1,),
    weight=2,
    weight_axis=1,
    bias=0,
)
def addmm(ctx: Lowering) -> ir.Value:
    """`addmm(bias, mat1, mat2, beta, alpha)` = beta*bias + alpha*(mat1 @ mat2)."""
    b, bias, x, y = ctx.b, ctx.tensor(0), ctx.tensor(1), ctx.tensor(2)
    plain = _factor(ctx, 3) == _factor(ctx, 4) == 1 and is_float(element_of(x))
    if plain and is_constant(y) and shape_of(bias) == shape_of(y)[1:]:
        return product(b, x, b.transpose(y, (1, 0)), bias)
    return _added(ctx, _by_matrix)


@lowers("torch.aten.bilinear", precise=True)
def bilinear(ctx: Lowering) -> ir.Value:
    """`bilinear(x, y, weight, bias?)`: x and y [..., I], [..., J], weight [O, I, J]."""
    b, element = ctx.b, compute_type(ctx.out_element())
    x, y, weight = (b.cast(ctx.tensor(n), element) for n in (0, 1, 2))
    count, size, other = shape_of(weight)
    rows = as_rows(shape_of(x))[2]
    x, y = b.reshape(x, [rows, size, 1]), b.reshape(y, [rows, 1, other])
    pairs = b.reshape(b.mul(x, y), [rows, size * other])
    out = product(b, pairs, b.reshape(weight, [count, size * other]), ctx.optional(3))
    return _result(ctx, out)


# --- vectors of three, and products of all elements ----------------------------------------------


def _both(ctx: Lowering) -> tuple[Term, Term]:
    """Return operands 0 and 1 in the type that TOSA computes the result in."""
    element = compute_type(ctx.out_element())
    left, right = (Term(ctx.b, ctx.tensor(n)).converted(element) for n in (0, 1))
    return left, right


@lowers("torch.aten.cross", "torch.aten.linalg_cross")
def cross(ctx: Lowering) -> ir.Value:
    """`cross(x, y, dim)` of vectors of three."""
    b, out = ctx.b, ctx.out_shape()
    axis = out.index(3) if ctx.is_none(2) else ctx.dim(2, len(out))

    def turned(x: Term, by: int) -> Term:
        return Term(b, rolled(b, broadcast(b, x.value, out), axis, -by))

    x, y = _both(ctx)
    return _result(ctx, (turned(x, 1) * turned(y, 2) - turned(x, 2) * turned(y, 1)).value)


@lowers("torch.aten.kron", quantized=Quantized.RESCALED, activations=(0, 1))
def kron(ctx: Lowering) -> ir.Value:
    """`kron(x, y)`: each element of x times all of y."""
    b = ctx.b
    x, y = b.equal_ranks(*(term.value for term in _both(ctx)))
    left = [n for size in static_shape(x) for n in (size, 1)]
    right = [n for size in static_shape(y) for n in (1, size)]
    return _result(ctx, b.mul(b.reshape(x, left), b.reshape(y, right)))
