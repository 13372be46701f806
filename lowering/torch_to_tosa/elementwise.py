"""Arithmetic on two tensors, or a tensor and a number, promoted and broadcast as PyTorch does."""

from __future__ import annotations

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import is_float
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers

_BOTH = (0, 1)


def _with_alpha(ctx: Lowering, index: int, alpha: int) -> ir.Value:
    value = ctx.converted(index, ctx.out_element())
    factor = ctx.scalar(alpha)
    return value if factor == 1 else ctx.b.mul(value, ctx.b.splat(value, factor))


@lowers(
    "torch.aten.add.Tensor",
    "torch.aten.add.Scalar",
    quantized=Quantized.RESCALED,
    activations=_BOTH,
)
def add(ctx: Lowering) -> ir.Value:
    """`add(x, y, alpha)` = x + alpha * y."""
    return ctx.b.add(ctx.converted(0, ctx.out_element()), _with_alpha(ctx, 1, 2))


@lowers(
    "torch.aten.sub.Tensor",
    "torch.aten.sub.Scalar",
    quantized=Quantized.RESCALED,
    activations=_BOTH,
)
def sub(ctx: Lowering) -> ir.Value:
    """`sub(x, y, alpha)` = x - alpha * y."""
    return ctx.b.sub(ctx.converted(0, ctx.out_element()), _with_alpha(ctx, 1, 2))


@lowers("torch.aten.rsub.Scalar", quantized=Quantized.RESCALED)
def rsub(ctx: Lowering) -> ir.Value:
    """`rsub(x, y, alpha)` = y - alpha * x."""
    return ctx.b.sub(ctx.converted(1, ctx.out_element()), _with_alpha(ctx, 0, 2))


@lowers(
    "torch.aten.mul.Tensor",
    "torch.aten.mul.Scalar",
    quantized=Quantized.RESCALED,
    activations=_BOTH,
)
def mul(ctx: Lowering) -> ir.Value:
    """`mul(x, y)`."""
    element = ctx.out_element()
    return ctx.b.mul(ctx.converted(0, element), ctx.converted(1, element))


@lowers(
    "torch.aten.div.Tensor",
    "torch.aten.div.Scalar",
    quantized=Quantized.RESCALED,
    activations=_BOTH,
)
def div(ctx: Lowering) -> ir.Value:
    """True division; by a number it is one multiplication."""
    b, element = ctx.b, ctx.out_element()
    x = ctx.converted(0, element)
    if ctx.is_scalar(1):
        divisor = ctx.real(1)
        if divisor != 0:
            return b.mul(x, b.splat(x, 1.0 / divisor))
    if not is_float(element):
        raise Refusal("division of integers is only supported as true division to float")
    return b.mul(x, b.unary("tosa.reciprocal", ctx.converted(1, element)))


@lowers("torch.aten.maximum", quantized=Quantized.RESCALED, activations=_BOTH)
def maximum(ctx: Lowering) -> ir.Value:
    """`maximum(x, y)`."""
    element = ctx.out_element()
    return ctx.b.binary("tosa.maximum", ctx.converted(0, element), ctx.converted(1, element))


@lowers("torch.aten.minimum", quantized=Quantized.RESCALED, activations=_BOTH)
def minimum(ctx: Lowering) -> ir.Value:
    """`minimum(x, y)`."""
    element = ctx.out_element()
    return ctx.b.binary("tosa.minimum", ctx.converted(0, element), ctx.converted(1, element))


@lowers("torch.aten.pow.Tensor_Scalar", quantized=Quantized.TABLE)
def power(ctx: Lowering) -> ir.Value:
    """`pow(x, number)`; small whole powers are products, right for negative x too."""
    b = ctx.b
    x = b.cast(ctx.tensor(0), ctx.out_element())
    exponent = ctx.scalar(1)
    if exponent in (1, 2, 3, 4):
        out = x
        for _ in range(int(exponent) - 1):
            out = b.mul(out, x)
        return out
    if not is_float(ctx.out_element()):
        raise Refusal(f"an integer tensor to the power {exponent} has no lowering yet")
    return b.binary("tosa.pow", x, b.splat(x, float(exponent)))
