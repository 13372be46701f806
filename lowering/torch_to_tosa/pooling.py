"""Average and adaptive pools, 1-D to 3-D, computed NHWC, and what max pools share with them.

A 3-D pool is two: over H and W of every plane, then over the depth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import DYNAMIC, QuantParams, element_of, i, is_float, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa.formula import Term, integer_quotient
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.patches import Window, windows
from tosaic.lowering.torch_to_tosa.pieces import static_shape
from tosaic.lowering.torch_to_tosa.windows import fit_window, pad_or_crop, to_nchw, to_nhwc


def pair(values: Sequence[int], spatial: int, fill: int) -> list[int]:
    """Return an operand of a pool per dim, of two at least; `fill` is for a dim that is added."""
    values = list(values) * spatial if len(values) == 1 else list(values)
    return [fill, *values] if spatial == 1 else values


def ceil_extra(
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
class PoolWindow:
    """Kernel, stride and padding of a pool, per spatial dim; two dims where it is built."""

    kernel: list[int]
    stride: list[int]
    pad: list[int]
    dilation: list[int]
    ceil: bool

    @classmethod
    def of(cls, ctx: Lowering, spatial: int, *, dilation: int | None, ceil: int) -> PoolWindow:
        """Read kernel, stride and padding; `dilation` and `ceil` are the operands of these."""
        kernel = pair(ctx.ints(1), spatial, 1)
        return cls(
            kernel,
            pair(ctx.ints(2), spatial, 1) if ctx.ints(2) else kernel,
            pair(ctx.ints(3), spatial, 0),
            [1] * len(kernel) if dilation is None else pair(ctx.ints(dilation), spatial, 1),
            ctx.flag(ceil),
        )

    def part(self, first: int, last: int) -> PoolWindow:
        """Return dims `first` to `last`, of which one alone is the height of two."""
        values = (self.kernel, self.stride, self.pad, self.dilation)
        kernel, stride, pad, dilation = (list(v[first:last]) for v in values)
        if last - first == 1:
            kernel, stride, pad, dilation = [*kernel, 1], [*stride, 1], [*pad, 0], [*dilation, 1]
        return PoolWindow(kernel, stride, pad, dilation, self.ceil)


# An NHWC pool by a 2-D window.
_Pool = Callable[[ir.Value, PoolWindow], ir.Value]


def spatial_dims(ctx: Lowering) -> int:
    """Return how many dims the op pools over, by its name."""
    return next(n for n in (1, 2, 3) if f"{n}d" in aten_name(ctx))


def pooled(b: Builder, x: ir.Value, spatial: int, window: PoolWindow, pool: _Pool) -> ir.Value:
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


def _quantized_average(
    ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams
) -> ir.Value:
    """A volume's two averages, rounded one by one."""
    del x  # its dequantised form is operand 0
    return ctx.b.qcast(_average(ctx, params), out.type())


@lowers(
    "torch.aten.avg_pool3d",
    quantized=Quantized.SHARED,
    integer=_quantized_average,
    integer_bits=(8, 16),
)
@lowers("torch.aten.avg_pool1d", "torch.aten.avg_pool2d", quantized=Quantized.RESCALED)
def avg_pool(ctx: Lowering) -> ir.Value:
    """`avg_pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override?)`."""
    return _average(ctx, None)


def _average(ctx: Lowering, params: QuantParams | None) -> ir.Value:
    """Average operand 0; given its parameters, round to them between a volume's two passes."""
    b, spatial = ctx.b, spatial_dims(ctx)
    window = PoolWindow.of(ctx, spatial, dilation=None, ceil=4)
    divisor = 0 if spatial == 1 or ctx.is_none(6) else ctx.integer(6)
    counts = ctx.flag(5) or bool(divisor)
    if not is_float(element_of(ctx.tensor(0))):
        return _integer_average(ctx, window, divisor, counts=counts)

    def pool(x: ir.Value, two: PoolWindow) -> ir.Value:
        pad = two.pad
        extra = ceil_extra(x, two.kernel, two.stride, pad) if two.ceil else [0, 0]
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
        y = pooled(b, ctx.tensor(0), spatial, window, pool)
    else:

        def planes(x: ir.Value) -> ir.Value:
            y = pool(x, window.part(1, 3))
            return y if params is None else rounded(b, y, params)

        y = _by_planes(b, ctx.tensor(0), planes, lambda v: pool(v, window.part(0, 1)))
    if divisor:
        y = b.mul(y, b.splat(y, int(np.prod(window.kernel)) / divisor))
    return y


def _integer_average(ctx: Lowering, window: PoolWindow, divisor: int, *, counts: bool) -> ir.Value:
    """Average integers, which TOSA has no pool for: the sums of windows, divided towards zero."""
    b, x, spatial = ctx.b, ctx.tensor(0), spatial_dims(ctx)
    total, rank = Term(b, x).at_least_i32().value, len(static_shape(x))
    area = np.ones([1] * rank, np.int64)
    given = (values[-spatial:] for values in (window.kernel, window.stride, window.pad))
    for axis, kernel, step, pad in zip(range(rank - spatial, rank), *given, strict=True):
        size, count = shape_of(x)[axis], ctx.out_shape()[axis]
        starts = np.arange(count) * step - pad
        total = pad_or_crop(b, total, axis, pad, int(starts[-1]) + kernel - size)
        cut = windows(b, total, axis, Window(kernel, step, count))
        summed = b.reduce("tosa.reduce_sum", cut, axis + 1)
        total = b.reshape(summed, shape_of(cut)[: axis + 1] + shape_of(cut)[axis + 2 :])
        low = starts if counts else np.maximum(starts, 0)
        high = np.minimum(starts + kernel, size + pad if counts else size)
        area = area * (high - low).reshape([-1, *[1] * (rank - 1 - axis)])
    number = np.full_like(area, divisor) if divisor else area
    q, _ = integer_quotient(Term(b, total).converted(i(32)), Term(b, b.const(number, i(32))))
    return q.value


def rounded(b: Builder, x: ir.Value, params: QuantParams) -> ir.Value:
    """Return float `x` rounded to what `params` can hold."""
    # As in quantize.py: keeps the rounding through MLIR's dcast(qcast) folding.
    return b.dcast(b.unary("tosa.identity", b.qcast(x, params.type())))


def _quantized_adaptive(
    ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams
) -> ir.Value:
    del x
    return ctx.b.qcast(adaptive(ctx, average=True, params=params), out.type())


@lowers(
    "torch.aten.adaptive_avg_pool3d",
    "torch.aten._adaptive_avg_pool3d",
    quantized=Quantized.SHARED,
    integer=_quantized_adaptive,
    integer_bits=(8, 16),
    precise=True,  # two passes, which must not round halves twice
)
@lowers(
    "torch.aten.adaptive_avg_pool1d",
    "torch.aten.adaptive_avg_pool2d",
    "torch.aten._adaptive_avg_pool2d",
    quantized=Quantized.RESCALED,
)
def adaptive_avg_pool(ctx: Lowering) -> ir.Value:
    """`adaptive_avg_pool(x, output_size)`."""
    return adaptive(ctx, average=True)


def adaptive(ctx: Lowering, *, average: bool, params: QuantParams | None = None) -> ir.Value:
    """Pool operand 0 to `output_size`; given its parameters, round to them between two passes."""
    b, x, spatial = ctx.b, ctx.tensor(0), spatial_dims(ctx)
    sizes = pair(ctx.ints(1), spatial, 1)
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
    for top, bottom in bins(extents[0], sizes[0]):
        cells = []
        for left, right in bins(extents[1], sizes[1]):
            kernel = [bottom - top, right - left]
            shape = shape_of(x)
            cell = b.slice(x, [0, top, left, 0], [shape[0], *kernel, shape[3]])
            cells.append(_pool(b, cell, kernel, [1, 1], average))
        rows.append(cells[0] if len(cells) == 1 else b.concat(cells, 2))
    return rows[0] if len(rows) == 1 else b.concat(rows, 1)


def bins(extent: int, size: int) -> list[tuple[int, int]]:
    """Return the (start, stop) of each of `size` bins, of unequal width, overlapping by PyTorch."""
    return [(k * extent // size, -(-(k + 1) * extent // size)) for k in range(size)]


def _pool(
    b: Builder, x: ir.Value, kernel: Sequence[int], stride: Sequence[int], average: bool
) -> ir.Value:
    if list(kernel) == [1, 1] == list(stride):
        return x
    make = b.avg_pool2d if average else b.max_pool2d
    return make(x, kernel, stride, (0, 0, 0, 0))
