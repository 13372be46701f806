"""Sums and means."""

from __future__ import annotations

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import NCHW, NHWC, Builder, i32_attr
from tosaic.dialects.types import DYNAMIC, i, is_float, shape_of, tensor
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers, normalize_dim
from tosaic.lowering.torch_to_tosa.normalization import mean_over


def _axes(ctx: Lowering, index: int) -> list[int]:
    rank = len(shape_of(ctx.tensor(0)))
    dims = [] if ctx.is_none(index) else ctx.ints(index)
    return sorted({normalize_dim(d, rank) for d in dims}) or list(range(rank))


@lowers("torch.aten.mean.dim", quantized=Quantized.RESCALED)
def mean_dim(ctx: Lowering) -> ir.Value:
    """`mean(x, dims?, keepdim, dtype?)`."""
    return _mean(ctx, _axes(ctx, 1))


@lowers("torch.aten.mean", quantized=Quantized.RESCALED)
def mean(ctx: Lowering) -> ir.Value:
    """The mean of all elements."""
    return _mean(ctx, list(range(len(shape_of(ctx.tensor(0))))))


def _mean(ctx: Lowering, axes: list[int]) -> ir.Value:
    b = ctx.b
    x = b.cast(ctx.tensor(0), ctx.out_element())
    shape = shape_of(x)
    if DYNAMIC in [shape[axis] for axis in axes]:
        raise Refusal("the mean over a dynamic dim has no lowering; specialise the shapes")
    if axes == [2, 3] and len(shape) == 4:
        return b.reshape(_spatial_mean(b, x), ctx.out_shape())
    return b.reshape(mean_over(b, x, axes), ctx.out_shape())


def _spatial_mean(b: Builder, x: ir.Value) -> ir.Value:
    """The mean over H and W as one average pool, which is what NPUs have hardware for."""
    pooled = b.avg_pool2d(b.transpose(x, NHWC), shape_of(x)[2:], (1, 1), (0, 0, 0, 0))
    return b.transpose(pooled, NCHW)


@lowers("torch.aten.sum.dim_IntList", quantized=Quantized.RESCALED)
def sum_dims(ctx: Lowering) -> ir.Value:
    """`sum(x, dims?, keepdim, dtype?)`."""
    return _reduced(ctx, "tosa.reduce_sum", _axes(ctx, 1))


@lowers("torch.aten.sum", quantized=Quantized.RESCALED)
def sum_all(ctx: Lowering) -> ir.Value:
    """The sum of all elements."""
    return _reduced(ctx, "tosa.reduce_sum", list(range(len(shape_of(ctx.tensor(0))))))


@lowers("torch.aten.amax", quantized=Quantized.SHARED)
def amax(ctx: Lowering) -> ir.Value:
    """`amax(x, dims, keepdim)`."""
    return _reduced(ctx, "tosa.reduce_max", _axes(ctx, 1))


@lowers("torch.aten.amin", quantized=Quantized.SHARED)
def amin(ctx: Lowering) -> ir.Value:
    """`amin(x, dims, keepdim)`."""
    return _reduced(ctx, "tosa.reduce_min", _axes(ctx, 1))


@lowers("torch.aten.argmax", quantized=Quantized.NO)
def argmax(ctx: Lowering) -> ir.Value:
    """`argmax(x, dim?, keepdim)`; without a dim over all elements in order."""
    b, x = ctx.b, ctx.tensor(0)
    if ctx.is_none(1):
        count = DYNAMIC if DYNAMIC in shape_of(x) else int(np.prod(shape_of(x)))
        x, axis = b.reshape(x, [count]), 0
    else:
        axis = ctx.dim(1, len(shape_of(x)))
    shape = shape_of(x)
    found = b.value(
        "tosa.argmax", [x], tensor(shape[:axis] + shape[axis + 1 :], i(32)), axis=i32_attr(axis)
    )
    return b.cast(b.reshape(found, ctx.out_shape()), ctx.out_element())


def _reduced(ctx: Lowering, name: str, axes: list[int]) -> ir.Value:
    b = ctx.b
    x = b.cast(ctx.tensor(0), ctx.out_element())
    if not is_float(ctx.out_element()) and name == "tosa.reduce_sum" and not axes:
        return b.reshape(x, ctx.out_shape())
    for axis in axes:
        x = b.reduce(name, x, axis)
    return b.reshape(x, ctx.out_shape())
