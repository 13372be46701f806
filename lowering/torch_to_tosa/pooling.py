"""Max, average and adaptive pools, 1-D to 3-D, computed NHWC.

A 3-D pool is two: over H and W of every plane, then over the depth.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, conv_size
from tosaic.dialects.types import DYNAMIC, QuantParams, element_of, is_float, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.windows import fit_window, strided_slice, to_nchw, to_nhwc


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


@dataclasses.dataclass(frozen=True)
class _Window:
    """Kernel, stride and padding of a pool, per spatial dim; two dims where it is built."""

    kernel: list[int]
    stride: list[int]
    pad: list[int]
    dilation: list[int]
    ceil: bool

    @classmethod
    def of(cls, ctx: Lowering, spatial: int, *, dilation: int | None, ceil: int) -> _Window:
        kernel = _pair(ctx.ints(1), spatial, 1)
        return cls(
            kernel,
            _pair(ctx.ints(2), spatial, 1) if ctx.ints(2) else kernel,
            _pair(ctx.ints(3), spatial, 0),
            [1] * len(kernel) if dilation is None else _pair(ctx.ints(dilation), spatial, 1),
            ctx.flag(ceil),
        )

    def part(self, first: int, last: int) -> _Window:
        """Return dims `first` to `last`, of which one alone is the height of two."""
        values = (self.kernel, self.stride, self.pad, self.dilation)
        kernel, stride, pad, dilation = (list(v[first:last]) for v in values)
        if last - first == 1:
            kernel, stride, pad, dilation = [*kernel, 1], [*stride, 1], [*pad, 0], [*dilation, 1]
        return _Window(kernel, stride, pad, dilation, self.ceil)


# An NHWC pool by a 2-D window.
_Pool = Callable[[ir.Value, _Window], ir.Value]


def _spatial(ctx: Lowering) -> int:
    return next(n for n in (1, 2, 3) if f"{n}d" in aten_name(ctx))


def _pooled(b: Builder, x: ir.Value, spatial: int, window: _Window, pool: _Pool) -> ir.Value:
    """Apply `pool` to `x` as PyTorch has it, in two passes for a volume."""
    if spatial < 3:
        x, restore = to_nhwc(b, x, spatial)
        return to_nchw(b, pool(x, window), restore)
    return _by_planes(
        b, x, lambda y: pool(y, window.part(1, 3)), lambda y: pool(y, window.part(0, 1))
    )


def _by_planes(
    b: Builder,
    x: ir.Value,
    planes: Callable[[ir.Value], ir.Value],
    depths: Callable[[ir.Value], ir.Value],
) -> ir.Value:
    """Apply `planes` to [N*D,H,W,C], then `depths` to [N,D,H*W,C], of x [N,C,D,H,W] (or no N)."""
    batched = len(shape_of(x)) == 5
    if not batched:
        x = b.reshape(x, [1, *shape_of(x)])
    if DYNAMIC in shape_of(x):
        raise Refusal("a 3-D pool needs static sizes; specialise the shapes")
    n, c, d, h, w = shape_of(x)
    y = planes(b.reshape(b.transpose(x, (0, 2, 3, 4, 1)), [n * d, h, w, c]))
    _, h, w, _ = shape_of(y)
    y = depths(b.reshape(y, [n, d, h * w, c]))
    y = b.reshape(y, [n, shape_of(y)[1], h, w, c])
    y = b.transpose(y, (0, 4, 1, 2, 3))
    return y if batched else b.reshape(y, shape_of(y)[1:])


@lowers(
    "torch.aten.max_pool1d",
    "torch.aten.max_pool2d",
    "torch.aten.max_pool3d",
    quantized=Quantized.SHARED,
)
def max_pool(ctx: Lowering) -> ir.Value:
    """`max_pool(x, kernel, stride, padding, dilation, ceil_mode)`."""
    b, spatial = ctx.b, _spatial(ctx)
    window = _Window.of(ctx, spatial, dilation=4, ceil=5)

    def pool(x: ir.Value, two: _Window) -> ir.Value:
        if any(d != 1 for d in two.dilation):
            return _dilated_max(b, x, two)
        extra = _ceil_extra(x, two.kernel, two.stride, two.pad) if two.ceil else [0, 0]
        after = [p + e for p, e in zip(two.pad, extra, strict=True)]
        x, padding = fit_window(b, x, two.kernel, two.stride, (1, 1), two.pad, after)
        return b.max_pool2d(x, two.kernel, two.stride, padding)

    return _pooled(b, ctx.tensor(0), spatial, window, pool)


def _dilated_max(b: Builder, x: ir.Value, window: _Window) -> ir.Value:
    """A max pool with gaps: per dim, the slices that a kernel position sees, stacked, reduced."""
    if DYNAMIC in shape_of(x):
        raise Refusal("a dilated max pool needs static sizes; specialise the shapes")
    spans = [d * (k - 1) + 1 for d, k in zip(window.dilation, window.kernel, strict=True)]
    extra = _ceil_extra(x, spans, window.stride, window.pad) if window.ceil else [0, 0]
    padding = [(0, 0), *((p, p + e) for p, e in zip(window.pad, extra, strict=True)), (0, 0)]
    if any(p for pair in padding for p in pair):
        if not is_float(element_of(x)):
            raise Refusal("a dilated max pool of padded integers has no lowering")
        x = b.pad(x, padding, -math.inf)
    for axis in (1, 2):
        kernel, stride, dilation = (
            v[axis - 1] for v in (window.kernel, window.stride, window.dilation)
        )
        if kernel == stride == 1:
            continue
        count = conv_size(shape_of(x)[axis], kernel, 0, stride, dilation)
        seen = [strided_slice(b, x, axis, k * dilation, count, stride) for k in range(kernel)]
        shape = shape_of(seen[0])
        stacked = [b.reshape(s, [*shape[:axis], 1, *shape[axis:]]) for s in seen]
        y = stacked[0] if kernel == 1 else b.concat(stacked, axis)
        x = b.reshape(b.reduce("tosa.reduce_max", y, axis), shape)
    return x


@lowers(
    "torch.aten.max_pool1d_with_indices",
    "torch.aten.max_pool2d_with_indices",
    "torch.aten.max_pool3d_with_indices",
    quantized=Quantized.SHARED,
)
def max_pool_with_indices(ctx: Lowering) -> list[ir.Value]:
    """As `max_pool`; the indices must not be read."""
    return [max_pool(ctx), _unread_indices(ctx)]


def _unread_indices(ctx: Lowering) -> ir.Value:
    if list(ctx.op.results[1].uses):
        raise Refusal(
            "its indices are used, and no TOSA op gives them; keep max unpooling and the like out "
            "of the compiled model"
        )
    return ctx.b.const(np.zeros(ctx.out_shape(1)), ctx.out_element(1))


def _quantized_average(
    ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams
) -> ir.Value:
    """A volume's two averages are rounded one by one; anything else is one average as it is."""
    del x  # its dequantised form is operand 0
    pooled = _average(ctx, params if _spatial(ctx) == 3 else None)
    return ctx.b.qcast(pooled, out.type())


@lowers(
    "torch.aten.avg_pool1d",
    "torch.aten.avg_pool2d",
    "torch.aten.avg_pool3d",
    quantized=Quantized.SHARED,
    integer=_quantized_average,
)
def avg_pool(ctx: Lowering) -> ir.Value:
    """`avg_pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override?)`."""
    return _average(ctx, None)


def _average(ctx: Lowering, params: QuantParams | None) -> ir.Value:
    """Average operand 0; given its parameters, round to them between a volume's two passes."""
    b, spatial = ctx.b, _spatial(ctx)
    window = _Window.of(ctx, spatial, dilation=None, ceil=4)
    divisor = 0 if spatial == 1 or ctx.is_none(6) else ctx.integer(6)
    counts = ctx.flag(5) or bool(divisor)

    def pool(x: ir.Value, two: _Window) -> ir.Value:
        pad = two.pad
        extra = _ceil_extra(x, two.kernel, two.stride, pad) if two.ceil else [0, 0]
        if counts and any(pad):
            # TOSA leaves padding out of the count, so padding that counts is made of real zeros.
            x = b.pad(x, [(0, 0), (pad[0], pad[0]), (pad[1], pad[1]), (0, 0)])
            pad = [0, 0]
        if divisor and any(extra):
            x = b.pad(x, [(0, 0), (0, extra[0]), (0, extra[1]), (0, 0)])
            extra = [0, 0]
        after = [p + e for p, e in zip(pad, extra, strict=True)]
        x, padding = fit_window(b, x, two.kernel, two.stride, (1, 1), pad, after)
        if two.kernel == two.stride == [1, 1]:
            return x
        return b.avg_pool2d(x, two.kernel, two.stride, padding)

    if spatial < 3:
        y = _pooled(b, ctx.tensor(0), spatial, window, pool)
    else:

        def planes(x: ir.Value) -> ir.Value:
            y = pool(x, window.part(1, 3))
            return y if params is None else rounded(b, y, params)

        y = _by_planes(b, ctx.tensor(0), planes, lambda v: pool(v, window.part(0, 1)))
    if divisor:
        y = b.mul(y, b.splat(y, int(np.prod(window.kernel)) / divisor))
    return y


def rounded(b: Builder, x: ir.Value, params: QuantParams) -> ir.Value:
    """Return float `x` rounded to what `params` can hold."""
    # As in quantize.py: keeps the rounding through MLIR's dcast(qcast) folding.
    return b.dcast(b.unary("tosa.identity", b.qcast(x, params.type())))


def _quantized_adaptive(
    ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams
) -> ir.Value:
    del x
    rounding = params if _spatial(ctx) == 3 else None
    return ctx.b.qcast(_adaptive(ctx, average=True, params=rounding), out.type())


@lowers(
    "torch.aten.adaptive_avg_pool1d",
    "torch.aten.adaptive_avg_pool2d",
    "torch.aten._adaptive_avg_pool2d",
    "torch.aten.adaptive_avg_pool3d",
    "torch.aten._adaptive_avg_pool3d",
    quantized=Quantized.SHARED,
    integer=_quantized_adaptive,
)
def adaptive_avg_pool(ctx: Lowering) -> ir.Value:
    """`adaptive_avg_pool(x, output_size)`."""
    return _adaptive(ctx, average=True)


@lowers(
    "torch.aten.adaptive_max_pool1d",
    "torch.aten.adaptive_max_pool2d",
    "torch.aten.adaptive_max_pool3d",
    quantized=Quantized.SHARED,
)
def adaptive_max_pool(ctx: Lowering) -> list[ir.Value]:
    """`adaptive_max_pool(x, output_size)`; the indices must not be read."""
    return [_adaptive(ctx, average=False), _unread_indices(ctx)]


def _adaptive(ctx: Lowering, *, average: bool, params: QuantParams | None = None) -> ir.Value:
    b, x, spatial = ctx.b, ctx.tensor(0), _spatial(ctx)
    sizes = _pair(ctx.ints(1), spatial, 1)
    if spatial < 3:
        x, restore = to_nhwc(b, x, spatial)
        return to_nchw(b, _adaptive_nhwc(b, x, sizes, average=average), restore)

    def depths(y: ir.Value) -> ir.Value:
        return _adaptive_nhwc(b, y, [sizes[0], shape_of(y)[2]], average=average)

    def planes(y: ir.Value) -> ir.Value:
        y = _adaptive_nhwc(b, y, sizes[1:], average=average)
        return y if params is None else rounded(b, y, params)

    return _by_planes(b, x, planes, depths)


def _adaptive_nhwc(b: Builder, x: ir.Value, sizes: list[int], *, average: bool) -> ir.Value:
    if DYNAMIC in shape_of(x)[1:3]:
        raise Refusal("an adaptive pool needs static sizes; specialise the shapes")
    extents = shape_of(x)[1:3]
    if all(extent % size == 0 for extent, size in zip(extents, sizes, strict=True)):
        step = [extent // size for extent, size in zip(extents, sizes, strict=True)]
        return _pool(b, x, step, step, average)
    rows = []
    for top, bottom in _bins(extents[0], sizes[0]):
        cells = []
        for left, right in _bins(extents[1], sizes[1]):
            kernel = [bottom - top, right - left]
            shape = shape_of(x)
            cell = b.slice(x, [0, top, left, 0], [shape[0], *kernel, shape[3]])
            cells.append(_pool(b, cell, kernel, [1, 1], average))
        rows.append(cells[0] if len(cells) == 1 else b.concat(cells, 2))
    return rows[0] if len(rows) == 1 else b.concat(rows, 1)


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
