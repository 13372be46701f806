"""Matrix products: by a constant as a 1x1 convolution, by an activation as MATMUL."""

from __future__ import annotations

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import DYNAMIC, element_of, is_float, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers

_FORWARDING = {
    "tosa.transpose",
    "tosa.reshape",
    "tosa.slice",
    "quant.dcast",
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
    shape = shape_of(x)
    n, k = shape_of(weight)
    if not is_constant(weight):
        rows = matmul(b, x, b.transpose(weight, (1, 0)))
        return rows if bias is None else b.add(rows, bias)
    if not is_float(element_of(x)):
        raise Refusal("integer matrix products by a constant have no lowering yet")
    if bias is None:
        bias = b.const(np.zeros(n), element_of(x))
    rows = x if len(shape) == 4 else b.reshape(x, as_rows(shape))
    y = b.conv2d(rows, b.reshape(weight, [n, 1, 1, k]), bias)
    return y if len(shape) == 4 else b.reshape(y, [*shape[:-1], n])


def as_rows(shape: list[int]) -> list[int]:
    """Return the NHWC shape that lays the rows of [..., K] along W."""
    rows = DYNAMIC if DYNAMIC in shape[:-1] else int(np.prod(shape[:-1]))
    return [1, 1, rows, shape[-1]]


def matmul(b: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return ``torch.matmul(x, y)`` for ranks of at least 2, batch dims broadcast."""
    x, y = b.equal_ranks(x, y)
    a, c = shape_of(x), shape_of(y)
    if DYNAMIC in a[:-2] + c[:-2] and len(a) > 3:
        raise Refusal("batch dims of a matrix product are dynamic; specialise the shapes")
    batch = [
        max(p, q) if DYNAMIC not in (p, q) else DYNAMIC for p, q in zip(a[:-2], c[:-2], strict=True)
    ]
    x = _batched(b, x, batch)
    y = _batched(b, y, batch)
    out = b.matmul(x, y)
    return out if len(a) == 3 else b.reshape(out, [*batch, a[-2], c[-1]])


def _batched(b: Builder, x: ir.Value, batch: list[int]) -> ir.Value:
    shape = shape_of(x)
    repeats = [
        t // d if DYNAMIC not in (t, d) else 1 for d, t in zip(shape[:-2], batch, strict=True)
    ]
    x = b.tile(x, [*repeats, 1, 1])
    if len(shape) == 3:
        return x
    total = DYNAMIC if DYNAMIC in batch else int(np.prod(batch))
    return b.reshape(x, [total, *shape[-2:]])


@lowers("torch.aten.linear", quantized=Quantized.WEIGHTED, weight=1, bias=2)
def linear(ctx: Lowering) -> ir.Value:
    """`linear(input, weight, bias?)`; input [..., K] or [K]."""
    x = ctx.tensor(0)
    if len(shape_of(x)) == 1:
        row = product(ctx.b, ctx.b.reshape(x, [1, *shape_of(x)]), ctx.tensor(1), ctx.optional(2))
        return ctx.b.reshape(row, ctx.out_shape())
    return product(ctx.b, x, ctx.tensor(1), ctx.optional(2))


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
    beta, alpha = ctx.scalar(3), ctx.scalar(4)
    fusable = is_constant(y) and beta == alpha == 1 and len(shape_of(bias)) == 1
    if fusable and shape_of(bias)[0] == shape_of(y)[1]:
        return product(b, x, b.transpose(y, (1, 0)), bias)
    out = _mm(b, x, y)
    if alpha != 1:
        out = b.mul(out, b.splat(out, alpha))
    if beta != 1:
        bias = b.mul(bias, b.splat(bias, beta))
    return b.add(out, bias)


def _mm(b: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    if is_constant(y) and is_float(element_of(x)):
        return product(b, x, b.transpose(y, (1, 0)), None)
    return matmul(b, x, y)


@lowers("torch.aten.mm", quantized=Quantized.RESCALED, activations=(0, 1))
def mm(ctx: Lowering) -> ir.Value:
    """`mm(a, b)`."""
    return ctx.b.reshape(_mm(ctx.b, ctx.tensor(0), ctx.tensor(1)), ctx.out_shape())


@lowers("torch.aten.bmm", "torch.aten.matmul", quantized=Quantized.RESCALED, activations=(0, 1))
def batched(ctx: Lowering) -> ir.Value:
    """`bmm(a, b)` and `matmul(a, b)`, which also takes vectors."""
    b, x, y = ctx.b, ctx.tensor(0), ctx.tensor(1)
    if len(shape_of(x)) == 1:
        x = b.reshape(x, [1, *shape_of(x)])
    if len(shape_of(y)) == 1:
        y = b.reshape(y, [*shape_of(y), 1])
    if len(shape_of(y)) == 2:
        return b.reshape(_mm(b, x, y), ctx.out_shape())
    return b.reshape(matmul(b, x, y), ctx.out_shape())
