"""Max, average and adaptive pools, 1-D and 2-D, computed NHWC."""

from __future__ import annotations

from collections.abc import Sequence

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import DYNAMIC, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa.windows import fit_window, to_nchw, to_nhwc


def _pair(values: Sequence[int], spatial: int, fill: int) -> list[int]:
    values = list(values) * spatial if len(values) == 1 else list(values)
    return [fill, *values] if spatial == 1 else values


def _ceil_extra(
    x: ir.Value, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int]
) -> list[int]:
    """Return what ceil_mode adds at the end per dim; the last window must start inside."""
    extra = []
    for axis in (0, 1):
        size = shape_of(x)[axis + 1]
        if size == DYNAMIC:
            raise Refusal("ceil_mode needs a static size; specialise the shapes")
        span = size + 2 * pad[axis] - kernel[axis]
        windows = -(-span // stride[axis]) + 1
        if (windows - 1) * stride[axis] >= size + pad[axis]:
            windows -= 1
        extra.append(max(0, (windows - 1) * stride[axis] - span))
    return extra


@lowers("torch.aten.max_pool1d", "torch.aten.max_pool2d", quantized=Quantized.SHARED)
def max_pool(ctx: Lowering) -> ir.Value:
    """`max_pool(x, kernel, stride, padding, dilation, ceil_mode)`."""
    b, x = ctx.b, ctx.tensor(0)
    spatial = 1 if ctx.op.name.endswith("1d") else 2
    if any(d != 1 for d in ctx.ints(4)):
        raise Refusal("a dilated max pool has no lowering yet")
    kernel = _pair(ctx.ints(1), spatial, 1)
    stride = _pair(ctx.ints(2), spatial, 1) if ctx.ints(2) else kernel
    pad = _pair(ctx.ints(3), spatial, 0)
    x, restore = to_nhwc(b, x, spatial)
    extra = _ceil_extra(x, kernel, stride, pad) if ctx.flag(5) else [0, 0]
    after = [p + e for p, e in zip(pad, extra, strict=True)]
    x, padding = fit_window(b, x, kernel, stride, (1, 1), pad, after)
    return to_nchw(b, b.max_pool2d(x, kernel, stride, padding), restore)


@lowers("torch.aten.avg_pool1d", "torch.aten.avg_pool2d", quantized=Quantized.SHARED)
def avg_pool(ctx: Lowering) -> ir.Value:
    """`avg_pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override?)`."""
    b, x = ctx.b, ctx.tensor(0)
    spatial = 1 if ctx.op.name.endswith("1d") else 2
    kernel = _pair(ctx.ints(1), spatial, 1)
    stride = _pair(ctx.ints(2), spatial, 1) if ctx.ints(2) else kernel
    pad = _pair(ctx.ints(3), spatial, 0)
    divisor = 0
    if spatial == 2 and not ctx.is_none(6):
        divisor = ctx.integer(6)
    x, restore = to_nhwc(b, x, spatial)
    extra = _ceil_extra(x, kernel, stride, pad) if ctx.flag(4) else [0, 0]
    if (ctx.flag(5) or divisor) and any(pad):
        # TOSA leaves padding out of the count, so padding that counts is made of real zeros.
        x = b.pad(x, [(0, 0), (pad[0], pad[0]), (pad[1], pad[1]), (0, 0)])
        pad = [0, 0]
    if divisor and any(extra):
        x = b.pad(x, [(0, 0), (0, extra[0]), (0, extra[1]), (0, 0)])
        extra = [0, 0]
    after = [p + e for p, e in zip(pad, extra, strict=True)]
    x, padding = fit_window(b, x, kernel, stride, (1, 1), pad, after)
    y = b.avg_pool2d(x, kernel, stride, padding)
    if divisor:
        y = b.mul(y, b.splat(y, kernel[0] * kernel[1] / divisor))
    return to_nchw(b, y, restore)


@lowers(
    "torch.aten.adaptive_avg_pool1d",
    "torch.aten.adaptive_avg_pool2d",
    "torch.aten._adaptive_avg_pool2d",
    quantized=Quantized.SHARED,
)
def adaptive_avg_pool(ctx: Lowering) -> ir.Value:
    """`adaptive_avg_pool(x, output_size)`."""
    return _adaptive(ctx, average=True)


def _adaptive(ctx: Lowering, *, average: bool) -> ir.Value:
    b, x = ctx.b, ctx.tensor(0)
    spatial = 1 if "1d" in str(ctx.op.name) else 2
    sizes = _pair(ctx.ints(1), spatial, 1)
    x, restore = to_nhwc(b, x, spatial)
    if DYNAMIC in shape_of(x)[1:3]:
        raise Refusal("an adaptive pool needs static sizes; specialise the shapes")
    extents = shape_of(x)[1:3]
    if all(extent % size == 0 for extent, size in zip(extents, sizes, strict=True)):
        step = [extent // size for extent, size in zip(extents, sizes, strict=True)]
        return to_nchw(b, _pool(b, x, step, step, average), restore)
    rows = []
    for top, bottom in _bins(extents[0], sizes[0]):
        cells = []
        for left, right in _bins(extents[1], sizes[1]):
            kernel = [bottom - top, right - left]
            shape = shape_of(x)
            cell = b.slice(x, [0, top, left, 0], [shape[0], *kernel, shape[3]])
            cells.append(_pool(b, cell, kernel, [1, 1], average))
        rows.append(cells[0] if len(cells) == 1 else b.concat(cells, 2))
    return to_nchw(b, rows[0] if len(rows) == 1 else b.concat(rows, 1), restore)


def _bins(extent: int, size: int) -> list[tuple[int, int]]:
    """Return the (start, stop) of each of `size` bins, of unequal width, overlapping by PyTorch."""
    return [(k * extent // size, -(-(k + 1) * extent // size)) for k in range(size)]


def _pool(
    b: Builder, x: ir.Value, kernel: Sequence[int], stride: Sequence[int], average: bool
) -> ir.Value:
    if list(kernel) == [1, 1] == list(stride):
        return x
    make = b.avg_pool2d if average else b.max_pool2d
    return make(x, kernel, stride, (0, 0, 0, 0))
