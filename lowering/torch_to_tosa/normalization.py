"""Batch norm, layer norm and softmax."""

from __future__ import annotations

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, element_of, is_static, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.quantization.layer_norm import layer_norm as integer_layer_norm
from tosaic.lowering.quantization.softmax import softmax as integer_softmax
from tosaic.lowering.torch_to_tosa.linear import as_rows
from tosaic.lowering.torch_to_tosa.windows import to_nchw, to_nhwc


@lowers("torch.aten.batch_norm", quantized=Quantized.RESCALED)
def batch_norm(ctx: Lowering) -> ir.Value:
    """Inference batch norm as a 1x1 depthwise convolution, which folds into convolutions nearby.

    Source: Ioffe & Szegedy, "Batch Normalization", 2015, algorithm 2.
    """
    return _affine_norm(ctx, training=ctx.flag(5), epsilon=ctx.real(7))


@lowers("torch.aten._native_batch_norm_legit_no_training")
def native_batch_norm(ctx: Lowering) -> list[ir.Value]:
    """Inference batch norm as decompositions write it; the saved statistics are empty."""
    empty = ctx.b.const(np.zeros(0), element_of(ctx.tensor(0)))
    return [_affine_norm(ctx, training=False, epsilon=ctx.real(6)), empty, empty]


def _affine_norm(ctx: Lowering, *, training: bool, epsilon: float) -> ir.Value:
    if training:
        raise Refusal("it is in training mode; call model.eval() before exporting")
    b, x = ctx.b, ctx.tensor(0)
    if ctx.is_none(3) or ctx.is_none(4):
        raise Refusal("it keeps no running statistics (track_running_stats=False)")
    channels = shape_of(x)[1]
    gamma = np.ones(channels) if ctx.is_none(1) else ctx.constant(1)
    beta = np.zeros(channels) if ctx.is_none(2) else ctx.constant(2)
    mean = ctx.constant(3).astype(np.float64)
    scale = gamma.astype(np.float64) / np.sqrt(ctx.constant(4).astype(np.float64) + epsilon)
    element = element_of(x)
    weight = b.const(scale.reshape(1, 1, channels, 1), element)
    bias = b.const(beta - mean * scale, element)
    rank = len(shape_of(x))
    if rank == 2:
        y = b.conv2d(b.reshape(x, as_rows(shape_of(x))), weight, bias, depthwise=True)
        return b.reshape(y, shape_of(x))
    if rank > 4:
        raise Refusal("batch norm over more than two spatial dims has no lowering yet")
    x, restore = to_nhwc(b, x, rank - 2)
    return to_nchw(b, b.conv2d(x, weight, bias, depthwise=True), restore)


def mean_over(b: Builder, x: ir.Value, axes: list[int]) -> ir.Value:
    """Return the mean of float `x` over `axes`, kept as dims of 1."""
    count = int(np.prod([shape_of(x)[axis] for axis in axes]))
    for axis in axes:
        x = b.reduce("tosa.reduce_sum", x, axis)
    return b.mul(x, b.splat(x, 1.0 / count))


def _integer_layer_norm(
    ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams
) -> ir.Value:
    shape = shape_of(x)
    if not is_static(shape):
        raise Refusal("a quantised layer norm needs static shapes; specialise them")
    return integer_layer_norm(
        ctx.b,
        x,
        params,
        out,
        count=int(np.prod(ctx.ints(1))),
        epsilon=ctx.real(4),
        weight=None if ctx.is_none(2) else ctx.constant(2),
        bias=None if ctx.is_none(3) else ctx.constant(3),
    )


@lowers("torch.aten.layer_norm", quantized=Quantized.COMPOSITE, integer=_integer_layer_norm)
def layer_norm(ctx: Lowering) -> ir.Value:
    """`layer_norm(x, normalized_shape, weight?, bias?, eps, cudnn)`; Ba et al., 2016."""
    return _layer_norm(ctx, ctx.real(4))


def _layer_norm(ctx: Lowering, epsilon: float) -> ir.Value:
    b, x = ctx.b, ctx.tensor(0)
    rank = len(shape_of(x))
    axes = list(range(rank - len(ctx.ints(1)), rank))
    centred = b.sub(x, mean_over(b, x, axes))
    variance = mean_over(b, b.mul(centred, centred), axes)
    inverse = b.unary("tosa.rsqrt", b.add(variance, b.splat(variance, epsilon)))
    y = b.mul(centred, inverse)
    weight, bias = ctx.optional(2), ctx.optional(3)
    if weight is not None:
        y = b.mul(y, weight)
    return y if bias is None else b.add(y, bias)


def softmax_over(b: Builder, x: ir.Value, axis: int, *, log: bool) -> ir.Value:
    """Return softmax or log-softmax of float `x`, shifted by the maximum so that it is finite."""
    shifted = b.sub(x, b.reduce("tosa.reduce_max", x, axis))
    powers = b.unary("tosa.exp", shifted)
    total = b.reduce("tosa.reduce_sum", powers, axis)
    if log:
        return b.sub(shifted, b.unary("tosa.log", total))
    return b.mul(powers, b.unary("tosa.reciprocal", total))


def _integer_softmax(ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams) -> ir.Value:
    log = "log_softmax" in str(ctx.op.name)
    axis = ctx.dim(1, len(shape_of(x)))
    return integer_softmax(ctx.b, x, params, out, axis=axis, log=log)


@lowers(
    "torch.aten.softmax.int",
    "torch.aten._softmax",
    quantized=Quantized.COMPOSITE,
    integer=_integer_softmax,
    output_range=(0.0, 1.0),
)
def softmax(ctx: Lowering) -> ir.Value:
    """`softmax(x, dim, dtype?)` and, decomposed, `_softmax(x, dim, half_to_float)`."""
    x = ctx.b.cast(ctx.tensor(0), ctx.out_element())
    return softmax_over(ctx.b, x, ctx.dim(1, len(shape_of(x))), log=False)


@lowers(
    "torch.aten.log_softmax.int",
    "torch.aten._log_softmax",
    quantized=Quantized.COMPOSITE,
    integer=_integer_softmax,
)
def log_softmax(ctx: Lowering) -> ir.Value:
    """`log_softmax(x, dim, …)`."""
    x = ctx.b.cast(ctx.tensor(0), ctx.out_element())
    return softmax_over(ctx.b, x, ctx.dim(1, len(shape_of(x))), log=True)
