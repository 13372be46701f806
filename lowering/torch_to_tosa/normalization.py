"""Batch, layer, group, instance and RMS norm, softmax, cosine similarity."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, element_of, f32, is_static, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, Trait, lowers, normalize_dim
from tosaic.lowering.quantization.layer_norm import layer_norm as integer_layer_norm
from tosaic.lowering.quantization.softmax import log_softmax as integer_log_softmax
from tosaic.lowering.quantization.softmax import softmax as integer_softmax
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.linear import as_rows
from tosaic.lowering.torch_to_tosa.pieces import broadcast
from tosaic.lowering.torch_to_tosa.windows import to_nchw, to_nhwc
from tosaic.lowering.tosa.evaluate import known_value


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
    without_statistics = ctx.is_none(3) or ctx.is_none(4)
    if without_statistics and training:
        return _by_batch(ctx, epsilon)
    if training:
        raise Refusal("it is in training mode; call model.eval() before exporting")
    if without_statistics:
        raise Refusal("it has no statistics to normalise by")
    values = [None if ctx.is_none(n) else known_value(ctx.tensor(n)) for n in (1, 2, 3, 4)]
    if any(v is None and not ctx.is_none(n) for n, v in enumerate(values, 1)):
        return _by_statistics(ctx, epsilon)
    b, x = ctx.b, ctx.tensor(0)
    channels = shape_of(x)[1]
    gamma, beta, mean, variance = (None if v is None else v.astype(np.float64) for v in values)
    assert mean is not None
    assert variance is not None
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    element = element_of(x)
    weight = b.const(scale.reshape(1, 1, channels, 1), element)
    bias = b.const((0.0 if beta is None else beta) - mean * scale, element)
    rank = len(shape_of(x))
    if rank == 2:
        y = b.conv2d(b.reshape(x, as_rows(shape_of(x))), weight, bias, depthwise=True)
        return b.reshape(y, shape_of(x))
    if rank > 4:
        n, c, depth, *rest = shape_of(x)
        flat, restore = to_nhwc(b, b.reshape(x, [n, c, depth, math.prod(rest)]), 2)
        y = to_nchw(b, b.conv2d(flat, weight, bias, depthwise=True), restore)
        return b.reshape(y, shape_of(x))
    x, restore = to_nhwc(b, x, rank - 2)
    return to_nchw(b, b.conv2d(x, weight, bias, depthwise=True), restore)


def _by_channel(ctx: Lowering, index: int) -> Term | None:
    """Return optional operand `index`, a vector, as f32 along dim 1 of operand 0."""
    if ctx.is_none(index):
        return None
    value = ctx.tensor(index)
    ones = [1] * (len(shape_of(ctx.tensor(0))) - 2)
    return Term(ctx.b, ctx.b.reshape(value, [*shape_of(value), *ones])).converted(f32())


def _by_statistics(ctx: Lowering, epsilon: float) -> ir.Value:
    """Batch norm by statistics that the model computes, or in a type that numpy lacks."""
    gamma, beta, mean, variance = (_by_channel(ctx, n) for n in (1, 2, 3, 4))
    assert mean is not None
    assert variance is not None
    scale = (variance + epsilon).apply("rsqrt")
    scale = scale if gamma is None else scale * gamma
    y = Term(ctx.b, ctx.tensor(0)).converted(f32()) * scale - mean * scale
    return (y if beta is None else y + beta).value


def _by_batch(ctx: Lowering, epsilon: float) -> ir.Value:
    """Batch norm by the statistics of its input, as one that tracks none computes."""
    x = Term(ctx.b, ctx.tensor(0)).converted(f32()).value
    _static_shape(ctx)
    axes = [k for k in range(len(shape_of(x))) if k != 1]
    y = Term(ctx.b, normalized(ctx.b, x, axes, epsilon))
    gamma, beta = _by_channel(ctx, 1), _by_channel(ctx, 2)
    y = y if gamma is None else y * gamma
    return (y if beta is None else y + beta).value


def mean_over(b: Builder, x: ir.Value, axes: list[int]) -> ir.Value:
    """Return the mean of float `x` over `axes`, kept as dims of 1."""
    count = math.prod(shape_of(x)[axis] for axis in axes)
    for axis in axes:
        x = b.reduce("tosa.reduce_sum", x, axis)
    if not count:
        return b.filled(shape_of(x), math.nan, element_of(x))
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


@lowers(
    "torch.aten.layer_norm",
    quantized=Quantized.COMPOSITE,
    traits=Trait.BY_ROW,
    integer=_integer_layer_norm,
    precise=True,
    normalizes_rows=True,
)
def layer_norm(ctx: Lowering) -> ir.Value:
    """`layer_norm(x, normalized_shape, weight?, bias?, eps, cudnn)`; Ba et al., 2016."""
    return _layer_norm(ctx, ctx.real(4))


def _layer_norm(ctx: Lowering, epsilon: float) -> ir.Value:
    b, x = ctx.b, ctx.tensor(0)
    rank = len(shape_of(x))
    y = normalized(b, x, list(range(rank - len(ctx.ints(1)), rank)), epsilon)
    return _scaled(b, y, ctx.optional(2), ctx.optional(3))


def normalized(
    b: Builder, x: ir.Value, axes: list[int], epsilon: float, *, centre: bool = True
) -> ir.Value:
    """Return float `x` less its mean (if `centre`), divided by its root mean square."""
    if centre:
        x = b.sub(x, mean_over(b, x, axes))
    variance = mean_over(b, b.mul(x, x), axes)
    return b.mul(x, b.unary("tosa.rsqrt", b.add(variance, b.splat(variance, epsilon))))


def _scaled(b: Builder, y: ir.Value, weight: ir.Value | None, bias: ir.Value | None) -> ir.Value:
    if weight is not None:
        y = b.mul(y, weight)
    return y if bias is None else b.add(y, bias)


def _static_shape(ctx: Lowering) -> list[int]:
    shape = shape_of(ctx.tensor(0))
    if not is_static(shape):
        raise Refusal("this norm needs static shapes; specialise them")
    return shape


def _group_norm(ctx: Lowering, groups: int, affine: tuple[int, int], epsilon: float) -> ir.Value:
    """Normalise [N,C,...] by `groups` of channels; `affine` are the operands weight and bias."""
    b, x = ctx.b, ctx.tensor(0)
    shape = _static_shape(ctx)
    rows = b.reshape(x, [shape[0], groups, int(np.prod(shape[1:])) // groups])
    y = b.reshape(normalized(b, rows, [2], epsilon), shape)
    by_channel = [shape[1], *[1] * (len(shape) - 2)]
    weight, bias = (
        None if (value := ctx.optional(n)) is None else b.reshape(value, by_channel) for n in affine
    )
    return _scaled(b, y, weight, bias)


def _integer_group_norm(
    ctx: Lowering,
    x: ir.Value,
    params: QuantParams,
    out: QuantParams,
    *,
    groups: int,
    affine: tuple[int, int],
    epsilon: float,
) -> ir.Value:
    n, c, *rest = _static_shape(ctx)
    area = int(np.prod(rest))
    weight, bias = (None if ctx.is_none(k) else ctx.constant(k) for k in affine)
    return integer_layer_norm(
        ctx.b,
        x,
        params,
        out,
        count=c * area // groups,
        epsilon=epsilon,
        weight=weight,
        bias=bias,
        channels=(n, c, area),
    )


def _quantized_group_norm(
    ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams
) -> ir.Value:
    return _integer_group_norm(
        ctx, x, params, out, groups=ctx.integer(1), affine=(2, 3), epsilon=ctx.real(4)
    )


@lowers(
    "torch.aten.group_norm",
    quantized=Quantized.COMPOSITE,
    integer=_quantized_group_norm,
    precise=True,
)
def group_norm(ctx: Lowering) -> ir.Value:
    """`group_norm(x, groups, weight?, bias?, eps, cudnn)`; Wu & He, 2018."""
    return _group_norm(ctx, ctx.integer(1), (2, 3), ctx.real(4))


def _quantized_instance_norm(
    ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams
) -> ir.Value:
    if not ctx.flag(5):
        return ctx.b.qcast(instance_norm(ctx), out.type())
    channels = shape_of(x)[1]
    return _integer_group_norm(
        ctx, x, params, out, groups=channels, affine=(1, 2), epsilon=ctx.real(7)
    )


@lowers(
    "torch.aten.instance_norm",
    quantized=Quantized.COMPOSITE,
    integer=_quantized_instance_norm,
    precise=True,
)
def instance_norm(ctx: Lowering) -> ir.Value:
    """`instance_norm(x, weight?, bias?, mean?, var?, use_input_stats, momentum, eps, cudnn)`."""
    if not ctx.flag(5):
        return _affine_norm(ctx, training=False, epsilon=ctx.real(7))
    return _group_norm(ctx, shape_of(ctx.tensor(0))[1], (1, 2), ctx.real(7))


def _rms_epsilon(ctx: Lowering) -> float:
    return float(np.finfo(np.float32).eps) if ctx.is_none(3) else ctx.real(3)


def _integer_rms_norm(
    ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams
) -> ir.Value:
    _static_shape(ctx)
    return integer_layer_norm(
        ctx.b,
        x,
        params,
        out,
        count=int(np.prod(ctx.ints(1))),
        epsilon=_rms_epsilon(ctx),
        weight=None if ctx.is_none(2) else ctx.constant(2),
        bias=None,
        centre=False,
    )


@lowers(
    "torch.aten.rms_norm",
    quantized=Quantized.COMPOSITE,
    traits=Trait.BY_ROW,
    integer=_integer_rms_norm,
    precise=True,
    normalizes_rows=True,
)
def rms_norm(ctx: Lowering) -> ir.Value:
    """`rms_norm(x, normalized_shape, weight?, eps?)`; Zhang & Sennrich, 2019."""
    b, x = ctx.b, ctx.tensor(0)
    rank = len(shape_of(x))
    axes = list(range(rank - len(ctx.ints(1)), rank))
    y = normalized(b, x, axes, _rms_epsilon(ctx), centre=False)
    return _scaled(b, y, ctx.optional(2), None)


@lowers("torch.aten.cosine_similarity", precise=True)
def cosine_similarity(ctx: Lowering) -> ir.Value:
    """`cosine_similarity(x, y, dim, eps)`: each norm is at least eps."""
    b = ctx.b
    shapes = (tuple(shape_of(ctx.tensor(n))) or (1,) for n in (0, 1))
    common = np.broadcast_shapes(*shapes)
    x, y = (broadcast(b, b.cast(ctx.tensor(n), ctx.out_element()), common) for n in (0, 1))
    axis, floor = ctx.dim(2, len(common)), ctx.real(3) ** 2
    total = b.reduce("tosa.reduce_sum", b.mul(x, y), axis)
    for value in (x, y):
        square = b.reduce("tosa.reduce_sum", b.mul(value, value), axis)
        total = b.mul(total, b.unary("tosa.rsqrt", b.clamp(square, floor, None)))
    return b.reshape(total, ctx.out_shape())


def softmax_over(b: Builder, x: ir.Value, axis: int, *, log: bool) -> ir.Value:
    """Return softmax or log-softmax of float `x`, shifted by the maximum so that it is finite."""
    shifted = b.sub(x, b.reduce("tosa.reduce_max", x, axis))
    powers = b.unary("tosa.exp", shifted)
    total = b.reduce("tosa.reduce_sum", powers, axis)
    if log:
        return b.sub(shifted, b.unary("tosa.log", total))
    return b.mul(powers, b.unary("tosa.reciprocal", total))


def safe_softmax_over(b: Builder, x: ir.Value, axis: int) -> ir.Value:
    """Return softmax of float `x`, and zeros instead of NaN where a line is all -inf."""
    nothing = Term(b, b.reduce("tosa.reduce_max", x, axis)).equals(-math.inf)
    return nothing.where(0, Term(b, softmax_over(b, x, axis, log=False))).value


def _integer_softmax(ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams) -> ir.Value:
    return integer_softmax(ctx.b, x, params, out, axis=ctx.dim(1, len(shape_of(x))))


def _integer_log_softmax(
    ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams
) -> ir.Value:
    return integer_log_softmax(ctx.b, x, params, out, axis=ctx.dim(1, len(shape_of(x))))


def _along_dim(ctx: Lowering, compute: Callable[[ir.Value, int], ir.Value]) -> ir.Value:
    """Apply `compute` to operand 0, in the type of the result, along the dim in operand 1."""
    x = Term(ctx.b, ctx.tensor(0)).converted(ctx.out_element()).value
    rank = len(shape_of(x))
    if rank:
        return compute(x, ctx.dim(1, rank))
    return ctx.b.reshape(compute(ctx.b.reshape(x, [1]), 0), [])


@lowers(
    "torch.aten.softmax.int",
    "torch.aten._softmax",
    quantized=Quantized.COMPOSITE,
    traits=Trait.BY_ROW,
    integer=_integer_softmax,
    output_range=(0.0, 1.0),
    precise=True,
)
def softmax(ctx: Lowering) -> ir.Value:
    """`softmax(x, dim, dtype?)` and, decomposed, `_softmax(x, dim, half_to_float)`."""
    return _along_dim(ctx, lambda x, axis: softmax_over(ctx.b, x, axis, log=False))


@lowers(
    "torch.aten.log_softmax.int",
    "torch.aten._log_softmax",
    quantized=Quantized.COMPOSITE,
    traits=Trait.BY_ROW,
    integer=_integer_log_softmax,
    precise=True,
)
def log_softmax(ctx: Lowering) -> ir.Value:
    """`log_softmax(x, dim, …)`."""
    return _along_dim(ctx, lambda x, axis: softmax_over(ctx.b, x, axis, log=True))


@lowers("torch.aten._safe_softmax", precise=True)
def safe_softmax(ctx: Lowering) -> ir.Value:
    """`_safe_softmax(x, dim, dtype?)`: zero where every element is -inf."""
    return _along_dim(ctx, lambda x, axis: safe_softmax_over(ctx.b, x, axis))


@lowers("torch.aten._weight_norm")
def weight_norm(ctx: Lowering) -> ir.Value:
    """`_weight_norm(v, g, dim)`: v in the length g, along all other dims; Salimans & Kingma, 2016.

    Constants are computed here, so that a convolution's weight is one.
    """
    b, v, g = ctx.b, ctx.tensor(0), ctx.tensor(1)
    rank, dim = len(shape_of(v)), ctx.integer(2)
    axes = [k for k in range(rank) if dim == -1 or k != normalize_dim(dim, rank)]
    direction, length = known_value(v), known_value(g)
    if direction is not None and length is not None:
        size = np.sqrt(np.sum(direction.astype(np.float64) ** 2, tuple(axes), keepdims=True))
        return b.const(direction * (length / size), ctx.out_element())
    total = b.mul(v, v)
    for axis in axes:
        total = b.reduce("tosa.reduce_sum", total, axis)
    return b.mul(v, b.mul(g, b.unary("tosa.rsqrt", total)))
