"""Max pools, plain and adaptive, with the places of the maxima where they are asked for.

MAX_POOL2D takes floats and small integers without gaps. Everything else is done dim by dim, the
last first: the windows become a dim of their own, which is reduced. A window's first maximum in
order is the first one of its first best row, so places are found dim by dim too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import element_of, i, is_float, is_signless_integer, shape_of
from tosaic.lowering.ops import Lowering, Quantized, lowers
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.indexing import take_along
from tosaic.lowering.torch_to_tosa.patches import Window, windows
from tosaic.lowering.torch_to_tosa.pieces import static_shape
from tosaic.lowering.torch_to_tosa.pooling import (
    PoolWindow,
    adaptive,
    bins,
    ceil_extra,
    pair,
    pooled,
    spatial_dims,
)
from tosaic.lowering.torch_to_tosa.reduction import number_type, ordered, worst
from tosaic.lowering.torch_to_tosa.scattering import overwritten
from tosaic.lowering.torch_to_tosa.windows import fit_window, pad_or_crop

_SHARED = Quantized.SHARED

# (x, axis, what is outside) -> x with dim `axis` replaced by windows, and their elements.
Cut = Callable[[ir.Value, int, float], ir.Value]


@dataclass(frozen=True)
class _Cells:
    """How the windows of one dim are cut, and at which `places` [windows, elements] they are."""

    cut: Cut
    places: npt.NDArray[np.int64]


def _is_native(x: ir.Value, window: PoolWindow) -> bool:
    """Return whether MAX_POOL2D does it."""
    element = element_of(x)
    return (is_float(element) or is_signless_integer(element, 8, 16)) and set(window.dilation) == {
        1
    }


@lowers(
    "torch.aten.max_pool1d", "torch.aten.max_pool2d", "torch.aten.max_pool3d", quantized=_SHARED
)
def max_pool(ctx: Lowering) -> ir.Value:
    """`max_pool(x, kernel, stride, padding, dilation, ceil_mode)`."""
    b, x, spatial = ctx.b, ctx.tensor(0), spatial_dims(ctx)
    window = PoolWindow.of(ctx, spatial, dilation=4, ceil=5)
    if not _is_native(x, window):
        return _maxima(b, x, _cells(ctx, window))

    def pool(x: ir.Value, two: PoolWindow) -> ir.Value:
        extra = ceil_extra(x, two.kernel, two.stride, two.pad) if two.ceil else [0, 0]
        after = [p + e for p, e in zip(two.pad, extra, strict=True)]
        x, padding = fit_window(b, x, two.kernel, two.stride, (1, 1), two.pad, after)
        return b.max_pool2d(x, two.kernel, two.stride, padding)

    return pooled(b, x, spatial, window, pool)


@lowers(*(f"torch.aten.max_pool{n}d_with_indices" for n in (1, 2, 3)), quantized=_SHARED)
def max_pool_with_indices(ctx: Lowering) -> list[ir.Value]:
    """As `max_pool`, and where in the input each maximum is."""
    window = PoolWindow.of(ctx, spatial_dims(ctx), dilation=4, ceil=5)
    return [max_pool(ctx), _places(ctx, _cells(ctx, window))]


@lowers(*(f"torch.aten.adaptive_max_pool{n}d" for n in (1, 2, 3)), quantized=_SHARED)
def adaptive_max_pool(ctx: Lowering) -> list[ir.Value]:
    """`adaptive_max_pool(x, output_size)`, and where in the input each maximum is."""
    x, spatial = ctx.tensor(0), spatial_dims(ctx)
    sizes = pair(ctx.ints(1), spatial, 1)[-spatial:]
    cells = [
        _adaptive_cells(ctx.b, extent, size)
        for extent, size in zip(static_shape(x)[-spatial:], sizes, strict=True)
    ]
    element = element_of(x)
    native = is_float(element) or is_signless_integer(element, 8, 16)
    values = adaptive(ctx, average=False) if native else _maxima(ctx.b, x, cells)
    return [values, _places(ctx, cells)]


def _cells(ctx: Lowering, window: PoolWindow) -> list[_Cells]:
    """Return how each spatial dim of operand 0 is cut by `window`."""
    spatial = spatial_dims(ctx)
    sizes, counts = static_shape(ctx.tensor(0))[-spatial:], ctx.out_shape()[-spatial:]
    dims = (window.kernel, window.stride, window.pad, window.dilation)
    given = (values[-spatial:] for values in dims)
    return [
        _even_cells(ctx.b, size, count, *four)
        for size, count, *four in zip(sizes, counts, *given, strict=True)
    ]


def _even_cells(
    b: Builder, size: int, count: int, kernel: int, step: int, before: int, gap: int
) -> _Cells:
    places = np.arange(count)[:, None] * step - before + np.arange(kernel) * gap
    after = int(places.max()) + 1 - size

    def cut(x: ir.Value, axis: int, outside: float) -> ir.Value:
        padded = pad_or_crop(b, x, axis, before, after, outside)
        return windows(b, padded, axis, Window(kernel, step, count, gap))

    return _Cells(cut, places)


def _adaptive_cells(b: Builder, extent: int, size: int) -> _Cells:
    """Windows of unequal size; shorter ones see their last element again."""
    ranges = bins(extent, size)
    longest = max(stop - start for start, stop in ranges)
    places = np.array([
        [min(start + n, stop - 1) for n in range(longest)] for start, stop in ranges
    ])  # fmt: skip

    def cut(x: ir.Value, axis: int, outside: float) -> ir.Value:
        del outside
        return take_along(b, x, axis, b.const(places, i(32)))

    return _Cells(cut, places)


def _reduced(b: Builder, name: str, x: ir.Value, axis: int) -> ir.Value:
    shape = shape_of(x)
    return b.reshape(b.reduce(f"tosa.{name}", x, axis), shape[:axis] + shape[axis + 1 :])


def _maxima(b: Builder, x: ir.Value, cells: list[_Cells]) -> ir.Value:
    """Return the maxima over the last dims of `x`, one after the other."""
    lost = worst(element_of(x), largest=True)
    for n, cell in enumerate(reversed(cells), 1):
        axis = len(shape_of(x)) - n
        x = _reduced(b, "reduce_max", cell.cut(x, axis, lost), axis + 1)
    return x


def _places(ctx: Lowering, cells: list[_Cells]) -> ir.Value:
    """Return result 1, the place of each maximum among the elements of the pooled dims in order."""
    b = ctx.b
    if not list(ctx.op.results[1].uses):
        return b.const(np.zeros(ctx.out_shape(1)), ctx.out_element(1))
    x = Term(b, ordered(ctx)).at_least_i32().value  # TOSA compares no smaller integers
    rank, spatial = len(shape_of(x)), len(cells)
    count = math.prod(shape_of(x)[-spatial:])
    counting, lost = number_type(x, count), worst(element_of(x), largest=True)
    found: Term | None = None
    inner = 1
    for axis, cell in zip(range(rank - 1, -1, -1), reversed(cells), strict=False):
        size = shape_of(x)[axis]
        seen = Term(b, cell.cut(x, axis, lost))
        best = Term(b, b.reduce("tosa.reduce_max", seen.value, axis + 1))
        shape = [*cell.places.shape, *[1] * (rank - 1 - axis)]
        here = Term(b, b.const((cell.places * inner).reshape(shape), counting))
        if found is not None:
            here = here + Term(b, cell.cut(found.value, axis, 0))
        place = _chosen(b, seen, best, here, axis + 1, count)
        found = Term(b, b.reshape(place, shape_of(place)[: axis + 1] + shape_of(place)[axis + 2 :]))
        x, inner = b.reshape(best.value, shape_of(found.value)), inner * size
    assert found is not None
    return b.cast(b.cast(found.value, i(32)), ctx.out_element(1))


def _chosen(b: Builder, seen: Term, best: Term, places: Term, axis: int, count: int) -> ir.Value:
    """Return the first of `places` along `axis` where the best was seen, the last NaN before that.

    `places` outside of the input are below 0 or too large; only there can nothing else be best.
    """
    inside = (places >= 0) & (places < count)
    first = inside & seen.equals(best)
    found = Term(b, b.reduce("tosa.reduce_min", first.where(places, count).value, axis))
    if not is_float(seen.element):
        return found.value
    nan = inside & seen.differs(seen)
    last = Term(b, b.reduce("tosa.reduce_max", nan.where(places, -1).value, axis))
    return (last >= 0).where(last, found).value


@lowers("torch.aten.max_unpool2d", "torch.aten.max_unpool3d")
def max_unpool(ctx: Lowering) -> ir.Value:
    """`max_unpool2d(x, indices, output_size, …)`: the maxima where they were, zeros elsewhere."""
    b, x, places = ctx.b, ctx.tensor(0), ctx.tensor(1)
    out, spatial = ctx.out_shape(), spatial_dims(ctx)
    rows = math.prod(static_shape(x)[:-spatial])
    lines, size = math.prod(shape_of(x)[-spatial:]), math.prod(out[-spatial:])
    zeros = b.const(np.zeros([rows, size, 1]), element_of(x))
    index = b.cast(b.cast(b.reshape(places, [rows, lines]), i(32)), number_type(x, size))
    return b.reshape(overwritten(b, zeros, index, b.reshape(x, [rows, lines, 1])), out)
