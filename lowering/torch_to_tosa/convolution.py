"""Convolutions: 1-D to 3-D, grouped, depthwise, dilated, transposed; all computed NHWC.

A 3-D kernel is laid flat: the slices of the input that its depth covers become channels, so one
2-D convolution adds them up in its own accumulator, quantised or not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import NHWC, Builder, conv_size
from tosaic.dialects.types import DYNAMIC, element_of, is_float, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.linear import summed_products
from tosaic.lowering.torch_to_tosa.pieces import joined, part, static_shape
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


@dataclass(frozen=True)
class Window:
    """Stride, dilation and padding per spatial dim."""

    stride: list[int]
    dilation: list[int]
    before: list[int]
    after: list[int]

    @classmethod
    def of(
        cls,
        spatial: int,
        stride: Sequence[int],
        dilation: Sequence[int],
        padding: Sequence[int],
        padding_after: Sequence[int] | None = None,
    ) -> Window:
        """Read operands of a convolution, which may have one number for all dims."""
        after = padding if padding_after is None else padding_after
        return cls(*(_each(v, spatial) for v in (stride, dilation, padding, after)))

    def two(self) -> Window:
        """Return the same for two dims, of which the first may be a row that was added."""
        if len(self.stride) == 2:
            return self
        return Window([1, *self.stride], [1, *self.dilation], [0, *self.before], [0, *self.after])


def _each(values: Sequence[int], spatial: int) -> list[int]:
    return list(values) * (spatial // len(values))


def convolve(
    ctx: Lowering,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    padding_after: Sequence[int] | None = None,
) -> ir.Value:
    """Lower a convolution of operand 0 ([N,C,…], or without N) by operand 1."""
    weight = ctx.tensor(1)
    if DYNAMIC in shape_of(weight):
        raise Refusal("its weight has a dynamic shape")
    window = Window.of(len(shape_of(weight)) - 2, stride, dilation, padding, padding_after)
    return convolved(ctx.b, ctx.tensor(0), weight, _bias(ctx, shape_of(weight)[0]), window, groups)


def convolved(
    b: Builder, x: ir.Value, weight: ir.Value, bias: ir.Value, window: Window, groups: int
) -> ir.Value:
    """Return `x` [N,C,…] (or without N) convolved by [OC,C/groups,K…], of one to three dims."""
    spatial = len(window.stride)
    if len(shape_of(x)) < spatial + 2:
        y = convolved(b, b.reshape(x, [1, *shape_of(x)]), weight, bias, window, groups)
        return b.reshape(y, shape_of(y)[1:])
    if not is_float(element_of(x)):
        return _convolve_integers(b, x, weight, bias, window, groups)
    if spatial == 3:
        return _convolve_volume(b, x, weight, bias, window, groups)
    return _convolve_plane(b, x, weight, bias, window.two(), groups)


def _as_plane(b: Builder, weight: ir.Value) -> ir.Value:
    """Return a kernel of one or two dims as one of two."""
    first, second, *kernel = shape_of(weight)
    return b.reshape(weight, [first, second, *([1, *kernel] if len(kernel) == 1 else kernel)])


def _convolve_plane(
    b: Builder, x: ir.Value, weight: ir.Value, bias: ir.Value, window: Window, groups: int
) -> ir.Value:
    x, restore = to_nhwc(b, x, len(shape_of(x)) - 2)
    weight = _as_plane(b, weight)
    out_channels, in_channels, *kernel = shape_of(weight)
    stride, dilation = window.stride, window.dilation
    x, pad = fit_window(b, x, kernel, stride, dilation, window.before, window.after)
    make = partial(b.conv2d, pad=pad, stride=stride, dilation=dilation)
    if groups == 1:
        y = make(x, b.transpose(weight, NHWC), bias)
    elif in_channels == 1 and groups == shape_of(x)[3]:
        # [C*M,1,KH,KW] -> [KH,KW,C,M]: output channel c*M+m in both.
        weight = b.transpose(weight, (2, 3, 0, 1))
        weight = b.reshape(weight, [*kernel, groups, out_channels // groups])
        y = make(x, weight, bias, depthwise=True)
    else:
        parts = zip(
            _parts(b, x, 3, groups),
            _parts(b, weight, 0, groups),
            _parts(b, bias, 0, groups),
            strict=True,
        )
        y = b.concat([make(part, b.transpose(rows, NHWC), o) for part, rows, o in parts], 3)
    return to_nchw(b, y, restore)


def _parts(b: Builder, x: ir.Value, axis: int, count: int) -> list[ir.Value]:
    """Return `x` in equal parts along `axis`."""
    size = shape_of(x)[axis] // count
    return [part(b, x, axis, n * size, size) for n in range(count)]


def _convolve_volume(
    b: Builder, x: ir.Value, weight: ir.Value, bias: ir.Value, window: Window, groups: int
) -> ir.Value:
    """Convolve [N,C,D,H,W] by [OC,IC,KD,KH,KW] with 2-D convolutions."""
    if DYNAMIC in shape_of(x):
        raise Refusal("a 3-D convolution needs static sizes; specialise the shapes")
    n, _, _, h, w = shape_of(x)
    out_channels, per_group, depth, *kernel = shape_of(weight)
    (stride, *strides), (dilation, *dilations) = window.stride, window.dilation
    (before, *befores), (after, *afters) = window.before, window.after
    x = pad_or_crop(b, b.transpose(x, (0, 2, 3, 4, 1)), 1, before, after)
    out_depth = conv_size(shape_of(x)[1], depth, 0, stride, dilation)
    slices = [strided_slice(b, x, 1, k * dilation, out_depth, stride) for k in range(depth)]
    grouped = zip(
        *(_parts(b, s, 4, groups) for s in slices),
        _parts(b, weight, 0, groups),
        _parts(b, bias, 0, groups),
        strict=True,
    )
    parts = []
    for *chosen, rows, offset in grouped:
        planes = b.reshape(joined(b, chosen, 4), [n * out_depth, h, w, depth * per_group])
        flat = b.transpose(rows, (0, 3, 4, 2, 1))
        flat = b.reshape(flat, [out_channels // groups, *kernel, depth * per_group])
        planes, pad = fit_window(b, planes, kernel, strides, dilations, befores, afters)
        parts.append(b.conv2d(planes, flat, offset, pad=pad, stride=strides, dilation=dilations))
    y = joined(b, parts, 3)
    _, out_h, out_w, _ = shape_of(y)
    return b.transpose(b.reshape(y, [n, out_depth, out_h, out_w, out_channels]), (0, 4, 1, 2, 3))


def _convolve_integers(
    b: Builder, x: ir.Value, weight: ir.Value, bias: ir.Value, window: Window, groups: int
) -> ir.Value:
    """Convolve integers, for which TOSA's convolutions are too narrow: a product per kernel place.

    x is [N,C,…], the weight [OC,C/groups,K…].
    """
    n, channels, *_ = static_shape(x)
    out_channels, per_group, *kernel = shape_of(weight)
    counts = []
    for k, (size, step, gap) in enumerate(zip(kernel, window.stride, window.dilation, strict=True)):
        x = pad_or_crop(b, x, k + 2, window.before[k], window.after[k])
        counts.append(conv_size(shape_of(x)[k + 2], size, 0, step, gap))
    total = Term(b, b.reshape(bias, [1, groups, out_channels // groups, 1])).at_least_i32()
    for place in itertools.product(*(range(size) for size in kernel)):
        seen, rows = x, weight
        for k, at in enumerate(place):
            start = at * window.dilation[k]
            seen = strided_slice(b, seen, k + 2, start, counts[k], window.stride[k])
            rows = part(b, rows, k + 2, at, 1)
        rows = b.reshape(rows, [1, groups, out_channels // groups, per_group])
        seen = b.reshape(seen, [n, groups, channels // groups, math.prod(counts)])
        total = total + Term(b, summed_products(b, rows, seen))
    return b.reshape(total.value, [n, out_channels, *counts])


# --- transposed ----------------------------------------------------------------------------------


def convolve_transposed(
    ctx: Lowering,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
    dilation: Sequence[int],
) -> ir.Value:
    """Lower a transposed convolution; the weight is [IC, OC/groups, K…]."""
    b, x, weight = ctx.b, ctx.tensor(0), ctx.tensor(1)
    if DYNAMIC in shape_of(weight):
        raise Refusal("its weight has a dynamic shape")
    spatial = len(shape_of(weight)) - 2
    window = Window.of(spatial, stride, dilation, padding)
    extra = _each(output_padding, spatial)
    bias = _bias(ctx, shape_of(weight)[1] * groups)
    if spatial > 2 or set(window.dilation) != {1} or not is_float(element_of(x)):
        return _convolve_between_zeros(b, x, weight, bias, window, extra, groups)
    x, restore = to_nhwc(b, x, spatial)
    weight, window = _as_plane(b, weight), window.two()
    stride, padding, kernel = window.stride, window.before, shape_of(weight)[2:]
    extra = extra if spatial == 2 else [0, *extra]
    # TOSA's out_pad must stay above -kernel; what padding exceeds it is cropped afterwards.
    before = [min(p, k - 1) for p, k in zip(padding, kernel, strict=True)]
    after = [min(p - o, k - 1) for p, o, k in zip(padding, extra, kernel, strict=True)]
    make = partial(
        b.transpose_conv2d, out_pad=[-before[0], -after[0], -before[1], -after[1]], stride=stride
    )
    grouped = zip(
        _parts(b, x, 3, groups),
        _parts(b, weight, 0, groups),
        _parts(b, bias, 0, groups),
        strict=True,
    )
    parts = [make(chosen, b.transpose(rows, (1, 2, 3, 0)), o) for chosen, rows, o in grouped]
    y = joined(b, parts, 3)
    for k in (0, 1):
        y = pad_or_crop(b, y, k + 1, before[k] - padding[k], after[k] - padding[k] + extra[k])
    return to_nchw(b, y, restore)


def _convolve_between_zeros(
    b: Builder,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value,
    window: Window,
    extra: list[int],
    groups: int,
) -> ir.Value:
    """A transposed convolution as a convolution, by the turned kernel, of the input with zeros.

    Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016, 4.6.
    """
    in_channels, per_group, *kernel = shape_of(weight)
    first = len(static_shape(x)) - len(kernel)
    for n, (size, padding) in enumerate(zip(kernel, window.before, strict=True)):
        x = spread(b, x, first + n, window.stride[n])
        reach = window.dilation[n] * (size - 1) - padding
        x = pad_or_crop(b, x, first + n, reach, reach + extra[n])
    # [IC, OC/g, K...] -> [OC, IC/g, K...], turned around.
    grouped = b.reshape(weight, [groups, in_channels // groups, per_group, math.prod(kernel)])
    turned = b.reverse(b.transpose(grouped, (0, 2, 1, 3)), 3)
    turned = b.reshape(turned, [groups * per_group, in_channels // groups, *kernel])
    even = Window.of(len(kernel), [1], window.dilation, [0])
    return convolved(b, x, turned, bias, even, groups)


def _bias(ctx: Lowering, channels: int) -> ir.Value:
    bias = ctx.optional(2)
    if bias is not None:
        return bias
    return ctx.b.const(np.zeros(channels), element_of(ctx.tensor(0)))
