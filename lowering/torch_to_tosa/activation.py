"""Activations. Quantised, any of them is one TABLE or an output range."""

from __future__ import annotations

import math

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, Trait, lowers
from tosaic.lowering.quantization import hard_gates
from tosaic.lowering.torch_to_tosa import formula
from tosaic.lowering.torch_to_tosa.exact import Array, table
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type, exp, log1p_exp
from tosaic.lowering.torch_to_tosa.promotion import operand, precise_type, result


def _input(ctx: Lowering) -> Term:
    return operand(ctx, 0, precise_type(ctx.out_element()))


# --- gates ---------------------------------------------------------------------------------------


def _hard_gate(x: Term) -> Term:
    return (x + 3).clamp(0, 6)


@lowers(
    "torch.aten.hardsigmoid",
    quantized=Quantized.TABLE,
    integer=lambda ctx, *given: hard_gates.hardsigmoid(ctx.b, *given),
    integer_bits=(16,),
    output_range=(0.0, 1.0),
)
def hardsigmoid(ctx: Lowering) -> ir.Value:
    """``relu6(x + 3) / 6``."""
    return result(ctx, _hard_gate(_input(ctx)) * (1 / 6))


@lowers(
    "torch.aten.hardswish",
    quantized=Quantized.TABLE,
    integer=lambda ctx, *given: hard_gates.hardswish(ctx.b, *given),
    integer_bits=(16,),
    output_range=(-0.375, math.inf),
)
def hardswish(ctx: Lowering) -> ir.Value:
    """``x * relu6(x + 3) / 6``; Howard et al., "Searching for MobileNetV3", 2019."""
    x = _input(ctx)
    return result(ctx, x * (_hard_gate(x) * (1 / 6)))


@lowers("torch.aten.silu", quantized=Quantized.TABLE)
def silu(ctx: Lowering) -> ir.Value:
    """``x * sigmoid(x)``."""
    x = _input(ctx)
    return result(ctx, x * x.apply("sigmoid"))


@lowers("torch.aten.gelu", quantized=Quantized.TABLE)
def gelu(ctx: Lowering) -> ir.Value:
    """`gelu(x, approximate)`; Hendrycks & Gimpel, 2016."""
    x = _input(ctx)
    if ctx.text(1) == "tanh":
        cubic = x * x * x * 0.044715
        gate = ((x + cubic) * math.sqrt(2 / math.pi)).apply("tanh")
    else:
        gate = (x * (1 / math.sqrt(2))).apply("erf")
    return result(ctx, x * ((gate + 1) * 0.5))


@lowers("torch.aten.mish", quantized=Quantized.TABLE, output_range=(-0.31, math.inf))
def mish(ctx: Lowering) -> ir.Value:
    """``x * tanh(softplus(x))``; with e = exp(x), tanh is n / (n + 2) for n = e (e + 2)."""
    x = _input(ctx)
    e = exp(x.clamp(None, 20))  # beyond, the gate is 1
    n = e * (e + 2)
    return result(ctx, x * (n / (n + 2)))


# --- slopes below 0 ------------------------------------------------------------------------------


def _sloped(x: Term, slope: Term | float) -> Term:
    return x.clamp(0, None) + x.clamp(None, 0) * slope


@lowers("torch.aten.leaky_relu", quantized=Quantized.TABLE)
def leaky_relu(ctx: Lowering) -> ir.Value:
    """`leaky_relu(x, slope)`."""
    return result(ctx, _sloped(_input(ctx), ctx.real(1)))


@lowers("torch.aten.prelu", quantized=Quantized.RESCALED)
def prelu(ctx: Lowering) -> ir.Value:
    """`prelu(x, weight)`: a slope per channel (dim 1), or one for all."""
    x, slope = _input(ctx), operand(ctx, 1, precise_type(ctx.out_element()))
    channels = math.prod(shape_of(slope.value))
    shape = [1] * len(shape_of(x.value))
    if len(shape) > 1:
        shape[1] = channels
    return result(ctx, _sloped(x, Term(ctx.b, ctx.b.reshape(slope.value, shape))))


@lowers("torch.aten.rrelu", quantized=Quantized.TABLE)
def rrelu(ctx: Lowering) -> ir.Value:
    """`rrelu(x, lower, upper, training)`: when not training, the mean slope below 0."""
    if ctx.flag(3):
        raise Refusal("it is in training mode; call model.eval() before exporting")
    x = _input(ctx)
    slope = (ctx.real(1) + ctx.real(2)) / 2
    return result(ctx, (x < 0).where(x * slope, x))


# --- exponentials below 0 ------------------------------------------------------------------------


def _elu(x: Term, alpha: float, scale: float, input_scale: float) -> Term:
    below = formula.expm1(x.clamp(None, 0) * input_scale) * (alpha * scale)
    return x.clamp(0, None) * scale + below


def _exact_elu(x: Array, alpha: float, scale: float, input_scale: float) -> Array:
    return np.where(x > 0, x * scale, np.expm1(np.minimum(x, 0) * input_scale) * (alpha * scale))


_SELU = (1.6732632423543772, 1.0507009873554805, 1.0)


@lowers("torch.aten.elu", quantized=Quantized.TABLE)
def elu(ctx: Lowering) -> ir.Value:
    """`elu(x, alpha, scale, input_scale)`."""
    return result(ctx, _elu(_input(ctx), ctx.real(1), ctx.real(2), ctx.real(3)))


@lowers(
    "torch.aten.selu",
    quantized=Quantized.TABLE,
    integer=table(lambda ctx, x: _exact_elu(x, *_SELU)),
    integer_bits=(8, 16),
    output_range=(-1.7581, math.inf),
)
def selu(ctx: Lowering) -> ir.Value:
    """`selu(x)`; Klambauer et al., "Self-Normalizing Neural Networks", 2017."""
    return result(ctx, _elu(_input(ctx), *_SELU))


@lowers(
    "torch.aten.celu",
    quantized=Quantized.TABLE,
    integer=table(lambda ctx, x: _exact_elu(x, ctx.real(1), 1.0, 1.0 / ctx.real(1))),
    integer_bits=(8, 16),
)
def celu(ctx: Lowering) -> ir.Value:
    """`celu(x, alpha)`."""
    alpha = ctx.real(1)
    return result(ctx, _elu(_input(ctx), alpha, 1.0, 1.0 / alpha))


def _exact_softplus(ctx: Lowering, x: Array) -> Array:
    scaled = x * ctx.real(1)
    return np.where(scaled > ctx.real(2), x, np.logaddexp(0, scaled) / ctx.real(1))


@lowers(
    "torch.aten.softplus",
    quantized=Quantized.TABLE,
    integer=table(_exact_softplus),
    integer_bits=(8, 16),
    output_range=(0.0, math.inf),
)
def softplus(ctx: Lowering) -> ir.Value:
    """`softplus(x, beta, threshold)`: log(1 + exp(beta x)) / beta, x beyond the threshold."""
    x, beta = _input(ctx), ctx.real(1)
    scaled = x * beta
    return result(ctx, (scaled > ctx.real(2)).where(x, log1p_exp(scaled) * (1 / beta)))


@lowers(
    "torch.aten.log_sigmoid",
    quantized=Quantized.TABLE,
    integer=table(lambda ctx, x: -np.logaddexp(0, -x)),
    integer_bits=(8, 16),
)
def log_sigmoid(ctx: Lowering) -> ir.Value:
    """``log(sigmoid(x))``."""
    return result(ctx, -log1p_exp(-_input(ctx)))


# --- shrinks -------------------------------------------------------------------------------------


@lowers("torch.aten.softsign", quantized=Quantized.TABLE, output_range=(-1.0, 1.0))
def softsign(ctx: Lowering) -> ir.Value:
    """``x / (1 + |x|)``."""
    x = _input(ctx)
    return result(ctx, x / (abs(x) + 1))


@lowers("torch.aten.tanhshrink", quantized=Quantized.TABLE)
def tanhshrink(ctx: Lowering) -> ir.Value:
    """``x - tanh(x)``."""
    x = _input(ctx)
    return result(ctx, x - x.apply("tanh"))


@lowers("torch.aten.softshrink", quantized=Quantized.TABLE)
def softshrink(ctx: Lowering) -> ir.Value:
    """`softshrink(x, lambda)`."""
    x, bound = _input(ctx), ctx.real(1)
    return result(ctx, x - x.clamp(-bound, bound))


@lowers("torch.aten.hardshrink", quantized=Quantized.TABLE, traits=Trait.JUMPS)
def hardshrink(ctx: Lowering) -> ir.Value:
    """`hardshrink(x, lambda)`: x where it is beyond [-lambda, lambda], else 0."""
    x = _input(ctx)
    return result(ctx, (abs(x) <= ctx.real(1)).where(0, x))


@lowers("torch.aten.threshold", quantized=Quantized.TABLE, traits=Trait.JUMPS)
def threshold(ctx: Lowering) -> ir.Value:
    """`threshold(x, threshold, value)`: x where it is greater, else value."""
    x = operand(ctx, 0, compute_type(ctx.out_element()))
    return result(ctx, (x <= ctx.scalar(1)).where(ctx.scalar(2), x))


# --- dropout -------------------------------------------------------------------------------------


@lowers("torch.aten.dropout", quantized=Quantized.SHARED, traits=Trait.MOVES)
def dropout(ctx: Lowering) -> ir.Value:
    """`dropout(x, p, train)`: nothing when it is not training."""
    if ctx.flag(2):
        raise Refusal("it is in training mode; call model.eval() before exporting")
    return ctx.tensor(0)
