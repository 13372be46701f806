"""Activations. Float forms only: quantised, any of them is one TABLE or an output range."""

from __future__ import annotations

import math

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers


@lowers("torch.aten.relu", quantized=Quantized.CLAMP)
def relu(ctx: Lowering) -> ir.Value:
    """``max(x, 0)``."""
    return ctx.b.clamp(ctx.tensor(0), 0, None)


@lowers("torch.aten.relu6", quantized=Quantized.CLAMP, output_range=(0.0, 6.0))
def relu6(ctx: Lowering) -> ir.Value:
    """``min(max(x, 0), 6)``."""
    return ctx.b.clamp(ctx.tensor(0), 0, 6)


@lowers("torch.aten.hardtanh", quantized=Quantized.CLAMP, range_arguments=(1, 2))
def hardtanh(ctx: Lowering) -> ir.Value:
    """`hardtanh(x, min, max)`."""
    return ctx.b.clamp(ctx.tensor(0), ctx.scalar(1), ctx.scalar(2))


@lowers("torch.aten.clamp", quantized=Quantized.CLAMP, range_arguments=(1, 2))
def clamp(ctx: Lowering) -> ir.Value:
    """`clamp(x, min?, max?)` with scalar bounds."""
    x = ctx.b.cast(ctx.tensor(0), ctx.out_element())
    low = None if ctx.is_none(1) else ctx.scalar(1)
    high = None if ctx.is_none(2) else ctx.scalar(2)
    if low is not None and high is not None and low > high:
        low = high  # as PyTorch: every element becomes max
    return ctx.b.clamp(x, low, high)


def scaled(b: Builder, x: ir.Value, factor: float, offset: float = 0.0) -> ir.Value:
    """Return ``x * factor + offset``."""
    if factor != 1:
        x = b.mul(x, b.splat(x, factor))
    return b.add(x, b.splat(x, offset)) if offset else x


def _hard_gate(b: Builder, x: ir.Value) -> ir.Value:
    return b.clamp(scaled(b, x, 1.0, 3.0), 0, 6)


@lowers("torch.aten.hardsigmoid", quantized=Quantized.TABLE, output_range=(0.0, 1.0))
def hardsigmoid(ctx: Lowering) -> ir.Value:
    """``relu6(x + 3) / 6``."""
    return scaled(ctx.b, _hard_gate(ctx.b, ctx.tensor(0)), 1 / 6)


@lowers("torch.aten.hardswish", quantized=Quantized.TABLE, output_range=(-0.375, math.inf))
def hardswish(ctx: Lowering) -> ir.Value:
    """``x * relu6(x + 3) / 6``; Howard et al., "Searching for MobileNetV3", 2019."""
    x = ctx.tensor(0)
    return ctx.b.mul(x, scaled(ctx.b, _hard_gate(ctx.b, x), 1 / 6))


_RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "erf": (-1.0, 1.0)}


def _unary(name: str, tosa: str) -> None:
    @lowers(f"torch.aten.{name}", quantized=Quantized.TABLE, output_range=_RANGES.get(name))
    def lower(ctx: Lowering) -> ir.Value:
        return ctx.b.unary(tosa, ctx.b.cast(ctx.tensor(0), ctx.out_element()))


for _name, _tosa in {
    "sigmoid": "tosa.sigmoid",
    "tanh": "tosa.tanh",
    "exp": "tosa.exp",
    "log": "tosa.log",
    "abs": "tosa.abs",
    "ceil": "tosa.ceil",
    "floor": "tosa.floor",
    "rsqrt": "tosa.rsqrt",
    "reciprocal": "tosa.reciprocal",
    "sin": "tosa.sin",
    "cos": "tosa.cos",
    "erf": "tosa.erf",
}.items():
    _unary(_name, _tosa)


@lowers("torch.aten.neg", quantized=Quantized.TABLE)
def neg(ctx: Lowering) -> ir.Value:
    """``-x``."""
    return ctx.b.negate(ctx.tensor(0))


@lowers("torch.aten.sqrt", quantized=Quantized.TABLE)
def sqrt(ctx: Lowering) -> ir.Value:
    """``x ** 0.5``; TOSA has no square root."""
    x = ctx.b.cast(ctx.tensor(0), ctx.out_element())
    return ctx.b.binary("tosa.pow", x, ctx.b.splat(x, 0.5))


@lowers("torch.aten.silu", quantized=Quantized.TABLE)
def silu(ctx: Lowering) -> ir.Value:
    """``x * sigmoid(x)``."""
    x = ctx.tensor(0)
    return ctx.b.mul(x, ctx.b.unary("tosa.sigmoid", x))


@lowers("torch.aten.gelu", quantized=Quantized.TABLE)
def gelu(ctx: Lowering) -> ir.Value:
    """`gelu(x, approximate)`; Hendrycks & Gimpel, 2016."""
    b, x = ctx.b, ctx.tensor(0)
    if ctx.text(1) == "tanh":
        cubic = b.mul(b.mul(x, x), scaled(b, x, 0.044715))
        gate = b.unary("tosa.tanh", scaled(b, b.add(x, cubic), math.sqrt(2 / math.pi)))
    else:
        gate = b.unary("tosa.erf", scaled(b, x, 1 / math.sqrt(2)))
    return b.mul(x, scaled(b, scaled(b, gate, 1.0, 1.0), 0.5))


@lowers("torch.aten.leaky_relu", quantized=Quantized.TABLE)
def leaky_relu(ctx: Lowering) -> ir.Value:
    """`leaky_relu(x, slope)`."""
    b, x = ctx.b, ctx.tensor(0)
    below = scaled(b, b.clamp(x, None, 0), ctx.real(1))
    return b.add(b.clamp(x, 0, None), below)


@lowers("torch.aten.elu", quantized=Quantized.TABLE)
def elu(ctx: Lowering) -> ir.Value:
    """`elu(x, alpha, scale, input_scale)`."""
    b, x = ctx.b, ctx.tensor(0)
    alpha, scale, input_scale = ctx.real(1), ctx.real(2), ctx.real(3)
    below = b.unary("tosa.exp", scaled(b, b.clamp(x, None, 0), input_scale))
    below = scaled(b, scaled(b, below, 1.0, -1.0), alpha * scale)
    return b.add(scaled(b, b.clamp(x, 0, None), scale), below)


@lowers("torch.aten.dropout", quantized=Quantized.SHARED)
def dropout(ctx: Lowering) -> ir.Value:
    """`dropout(x, p, train)`: nothing when it is not training."""
    if ctx.flag(2):
        raise Refusal("it is in training mode; call model.eval() before exporting")
    return ctx.tensor(0)


@lowers("torch.aten.prelu", quantized=Quantized.RESCALED)
def prelu(ctx: Lowering) -> ir.Value:
    """`prelu(x, weight)`: a slope per channel (dim 1), or one for all."""
    b, x, slope = ctx.b, ctx.tensor(0), ctx.constant(1)
    shape = [1] * len(ctx.out_shape())
    if slope.size > 1:
        shape[1] = slope.size
    below = b.mul(b.clamp(x, None, 0), b.const(np.reshape(slope, shape), ctx.out_element()))
    return b.add(b.clamp(x, 0, None), below)
