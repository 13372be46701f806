"""Convolutions: 1-D to 3-D, grouped, depthwise, dilated, transposed; all computed NHWC.

A 3-D kernel is laid flat: the slices of the input that its depth covers become channels, so one
2-D convolution adds them up in its own accumulator, quantised or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import NHWC, Builder, conv_size
from tosaic.dialects.types import DYNAMIC, element_of, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa.windows import (
    fit_window,
    pad_or_crop,
    spread,
    strided_slice,
    to_nchw,
    to_nhwc,
)


@lowers(
    "torch.aten.conv1d",
    "torch.aten.conv2d",
    "torch.aten.conv3d",
    quantized=Quantized.WEIGHTED,
    weight=1,
    bias=2,
)
def conv(ctx: Lowering) -> ir.Value:
    """`conv(input, weight, bias?, stride, padding, dilation, groups)`."""
    return convolve(
        ctx,
        stride=ctx.ints(3),
        padding=ctx.ints(4),
        dilation=ctx.ints(5),
        groups=ctx.integer(6),
    )


@lowers(
    "torch.aten.conv1d.padding",
    "torch.aten.conv2d.padding",
    "torch.aten.conv3d.padding",
    quantized=Quantized.WEIGHTED,
    weight=1,
    bias=2,
)
def conv_named_padding(ctx: Lowering) -> ir.Value:
    """As `conv`, with padding "same" or "valid"."""
    dilation = ctx.ints(5)
    kernel = shape_of(ctx.tensor(1))[2:]
    dilation = dilation * (len(kernel) // len(dilation))
    same = ctx.text(4) == "same"
    total = [d * (k - 1) if same else 0 for k, d in zip(kernel, dilation, strict=True)]
    return convolve(
        ctx,
        stride=ctx.ints(3),
        padding=[t // 2 for t in total],
        padding_after=[t - t // 2 for t in total],
        dilation=dilation,
        groups=ctx.integer(6),
    )


@lowers("torch.aten.convolution", quantized=Quantized.WEIGHTED, weight=1, bias=2)
def convolution(ctx: Lowering) -> ir.Value:
    """`convolution(input, weight, bias?, stride, padding, dilation, transposed, …, groups)`."""
    if ctx.flag(6):
        return convolve_transposed(
            ctx, ctx.ints(3), ctx.ints(4), ctx.ints(7), ctx.integer(8), ctx.ints(5)
        )
    return convolve(
        ctx,
        stride=ctx.ints(3),
        padding=ctx.ints(4),
        dilation=ctx.ints(5),
        groups=ctx.integer(8),
    )


@lowers(
    "torch.aten.conv_transpose1d",
    "torch.aten.conv_transpose2d.input",
    "torch.aten.conv_transpose3d.input",
    quantized=Quantized.WEIGHTED,
    weight=1,
    weight_axis=1,
    bias=2,
)
def conv_transpose(ctx: Lowering) -> ir.Value:
    """`conv_transpose(input, weight, bias?, stride, padding, output_padding, groups, dilation)`."""
    return convolve_transposed(
        ctx, ctx.ints(3), ctx.ints(4), ctx.ints(5), ctx.integer(6), ctx.ints(7)
    )


def convolve(
    ctx: Lowering,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    padding_after: Sequence[int] | None = None,
) -> ir.Value:
    """Lower a convolution of operand 0 ([N,C,L] or [N,C,H,W], or without N) by operand 1."""
    b, x, weight = ctx.b, ctx.tensor(0), ctx.tensor(1)
    spatial = len(shape_of(weight)) - 2
    if DYNAMIC in shape_of(weight):
        raise Refusal("its weight has a dynamic shape")
    if spatial == 3:
        return _convolve_volume(
            b,
            x,
            weight,
            _bias(ctx, shape_of(weight)[0]),
            Window(
                _three(stride),
                _three(dilation),
                _three(padding),
                _three(padding if padding_after is None else padding_after),
            ),
            groups,
        )
    stride, dilation, before = (_two(v, spatial, 1) for v in (stride, dilation, padding))
    after = _two(padding_after, spatial, 1) if padding_after is not None else before
    if spatial == 1:
        before, after = [0, before[1]], [0, after[1]]
    x, restore = to_nhwc(b, x, spatial)
    out_channels, in_channels = shape_of(weight)[:2]
    kernel = ([1] if spatial == 1 else []) + shape_of(weight)[2:]
    weight = b.reshape(weight, [out_channels, in_channels, *kernel])
    x, pad = fit_window(b, x, kernel, stride, dilation, before, after)
    bias = _bias(ctx, out_channels)
    convolved = partial(b.conv2d, pad=pad, stride=stride, dilation=dilation)
    if groups == 1:
        y = convolved(x, b.transpose(weight, NHWC), bias)
    elif in_channels == 1 and groups == shape_of(x)[3]:
        # [C*M,1,KH,KW] -> [KH,KW,C,M]: output channel c*M+m in both.
        weight = b.transpose(weight, (2, 3, 0, 1))
        weight = b.reshape(weight, [*kernel, groups, out_channels // groups])
        y = convolved(x, weight, bias, depthwise=True)
    else:
        y = _grouped(b, x, weight, bias, groups, convolved)
    return to_nchw(b, y, restore)


def _grouped(
    b: Builder,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value,
    groups: int,
    convolved: Callable[..., ir.Value],
) -> ir.Value:
    n, h, w, channels = shape_of(x)
    out_channels, per_group = shape_of(weight)[0] // groups, channels // groups
    parts = []
    for g in range(groups):
        part = b.slice(x, [0, 0, 0, g * per_group], [n, h, w, per_group])
        rows = b.slice(weight, [g * out_channels, 0, 0, 0], [out_channels, *shape_of(weight)[1:]])
        offset = b.slice(bias, [g * out_channels], [out_channels])
        parts.append(convolved(part, b.transpose(rows, NHWC), offset))
    return b.concat(parts, 3)


def convolve_transposed(
    ctx: Lowering,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
    dilation: Sequence[int],
) -> ir.Value:
    """Lower a transposed convolution; the weight is [IC, OC/groups, KH, KW]."""
    b, x, weight = ctx.b, ctx.tensor(0), ctx.tensor(1)
    spatial = len(shape_of(weight)) - 2
    if DYNAMIC in shape_of(weight):
        raise Refusal("its weight has a dynamic shape")
    if spatial > 2 or any(d != 1 for d in dilation):
        return _convolve_between_zeros(
            ctx, stride, padding, output_padding, groups=groups, dilation=dilation
        )
    stride = _two(stride, spatial, 1)
    padding, output_padding = _two(padding, spatial, 0), _two(output_padding, spatial, 0)
    x, restore = to_nhwc(b, x, spatial)
    in_channels, out_per_group = shape_of(weight)[:2]
    kernel = ([1] if spatial == 1 else []) + shape_of(weight)[2:]
    weight = b.reshape(weight, [in_channels, out_per_group, *kernel])
    bias = _bias(ctx, out_per_group * groups)
    # TOSA's out_pad must stay above -kernel; what padding exceeds it is cropped afterwards.
    before = [min(p, k - 1) for p, k in zip(padding, kernel, strict=True)]
    after = [min(p - o, k - 1) for p, o, k in zip(padding, output_padding, kernel, strict=True)]
    out_pad = [-before[0], -after[0], -before[1], -after[1]]
    per_group = in_channels // groups
    n, h, w, _ = shape_of(x)
    parts = []
    for g in range(groups):
        part = b.slice(x, [0, 0, 0, g * per_group], [n, h, w, per_group])
        rows = b.slice(weight, [g * per_group, 0, 0, 0], [per_group, *shape_of(weight)[1:]])
        offset = b.slice(bias, [g * out_per_group], [out_per_group])
        rows = b.transpose(rows, (1, 2, 3, 0))
        parts.append(b.transpose_conv2d(part, rows, offset, out_pad=out_pad, stride=stride))
    y = parts[0] if groups == 1 else b.concat(parts, 3)
    crop = [p - q for p, q in zip(padding, before, strict=True)]
    crop_after = [p - o - q for p, o, q in zip(padding, output_padding, after, strict=True)]
    if any(crop) or any(crop_after):
        n, h, w, c = shape_of(y)
        size = [n, h - crop[0] - crop_after[0], w - crop[1] - crop_after[1], c]
        y = b.slice(y, [0, crop[0], crop[1], 0], size)
    return to_nchw(b, y, restore)


@dataclass(frozen=True)
class Window:
    """Stride, dilation and padding per spatial dim."""

    stride: list[int]
    dilation: list[int]
    before: list[int]
    after: list[int]


def _convolve_volume(
    b: Builder, x: ir.Value, weight: ir.Value, bias: ir.Value, window: Window, groups: int
) -> ir.Value:
    """Convolve [N,C,D,H,W] (or without N) by [OC,IC,KD,KH,KW] with 2-D convolutions."""
    batched = len(shape_of(x)) == 5
    if not batched:
        x = b.reshape(x, [1, *shape_of(x)])
    if DYNAMIC in shape_of(x):
        raise Refusal("a 3-D convolution needs static sizes; specialise the shapes")
    n, _, _, h, w = shape_of(x)
    out_channels, per_group, depth, *kernel = shape_of(weight)
    (stride, *strides), (dilation, *dilations) = window.stride, window.dilation
    (before, *befores), (after, *afters) = window.before, window.after
    x = b.transpose(x, (0, 2, 3, 4, 1))
    if before or after:
        x = b.pad(x, [(0, 0), (before, after), (0, 0), (0, 0), (0, 0)])
    out_depth = conv_size(shape_of(x)[1], depth, 0, stride, dilation)
    slices = [strided_slice(b, x, 1, k * dilation, out_depth, stride) for k in range(depth)]
    parts = []
    for g in range(groups):
        first, rows = g * per_group, out_channels // groups
        chosen = [b.slice(s, [0, 0, 0, 0, first], [n, out_depth, h, w, per_group]) for s in slices]
        stacked = chosen[0] if depth == 1 else b.concat(chosen, 4)
        planes = b.reshape(stacked, [n * out_depth, h, w, depth * per_group])
        flat = b.slice(weight, [g * rows, 0, 0, 0, 0], [rows, per_group, depth, *kernel])
        flat = b.reshape(b.transpose(flat, (0, 3, 4, 2, 1)), [rows, *kernel, depth * per_group])
        planes, pad = fit_window(b, planes, kernel, strides, dilations, befores, afters)
        offset = b.slice(bias, [g * rows], [rows])
        parts.append(b.conv2d(planes, flat, offset, pad=pad, stride=strides, dilation=dilations))
    y = parts[0] if groups == 1 else b.concat(parts, 3)
    _, out_h, out_w, _ = shape_of(y)
    y = b.reshape(y, [n, out_depth, out_h, out_w, out_channels])
    y = b.transpose(y, (0, 4, 1, 2, 3))
    return y if batched else b.reshape(y, shape_of(y)[1:])


def _convolve_between_zeros(
    ctx: Lowering,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    *,
    groups: int,
    dilation: Sequence[int],
) -> ir.Value:
    """A transposed convolution as a convolution, by the turned kernel, of the input with zeros.

    Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016, 4.6.
    """
    b, x, weight = ctx.b, ctx.tensor(0), ctx.tensor(1)
    in_channels, per_group, *kernel = shape_of(weight)
    spatial = len(kernel)
    stride, padding, output_padding, dilation = (
        list(v) * (spatial // len(v)) for v in (stride, padding, output_padding, dilation)
    )
    batched = len(shape_of(x)) == spatial + 2
    if not batched:
        x = b.reshape(x, [1, *shape_of(x)])
    if DYNAMIC in shape_of(x):
        raise Refusal("this transposed convolution needs static sizes; specialise the shapes")
    for n in range(spatial):
        x = spread(b, x, n + 2, stride[n])
        reach = dilation[n] * (kernel[n] - 1) - padding[n]
        x = pad_or_crop(b, x, n + 2, reach, reach + output_padding[n])
    # [IC, OC/g, K...] -> [OC, IC/g, K...], turned around.
    grouped = b.reshape(weight, [groups, in_channels // groups, per_group, int(np.prod(kernel))])
    turned = b.reverse(b.transpose(grouped, (0, 2, 1, 3)), 3)
    turned = b.reshape(turned, [groups * per_group, in_channels // groups, *kernel])
    ones, zeros, bias = [1] * spatial, [0] * spatial, _bias(ctx, groups * per_group)
    if spatial == 3:
        window = Window(ones, dilation, zeros, zeros)
        y = _convolve_volume(b, x, turned, bias, window, groups)
        return y if batched else b.reshape(y, shape_of(y)[1:])
    x, restore = to_nhwc(b, x, spatial)
    dilation = _two(dilation, spatial, 1)
    flat = b.reshape(turned, [*shape_of(turned)[:2], *_two(kernel, spatial, 1)])
    convolved = partial(b.conv2d, dilation=dilation)
    if groups == 1:
        y = convolved(x, b.transpose(flat, NHWC), bias)
    else:
        y = _grouped(b, x, flat, bias, groups, convolved)
    y = to_nchw(b, y, restore)
    return y if batched else b.reshape(y, shape_of(y)[1:])


def _three(values: Sequence[int]) -> list[int]:
    return list(values) * (3 // len(values))


def _two(values: Sequence[int], spatial: int, fill: int) -> list[int]:
    values = list(values) * (spatial // len(values)) if len(values) < spatial else list(values)
    return [fill, *values] if spatial == 1 else values


def _bias(ctx: Lowering, channels: int) -> ir.Value:
    bias = ctx.optional(2)
    if bias is not None:
        return bias
    return ctx.b.const(np.zeros(channels), element_of(ctx.tensor(0)))
