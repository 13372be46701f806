"""Windows of a tensor as tensors of their own, and their sum put back: unfold, im2col, col2im."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import i, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Trait, lowers
from tosaic.lowering.torch_to_tosa.indexing import stored, take_along
from tosaic.lowering.torch_to_tosa.pieces import joined, part, static_shape
from tosaic.lowering.torch_to_tosa.windows import pad_or_crop, spread, strided_slice

_SHARED = Quantized.SHARED
_FEW_PARTS = 32


@dataclass(frozen=True)
class Window:
    """`count` windows of `size` elements `dilation` apart, `step` from one to the next."""

    size: int
    step: int
    count: int
    dilation: int = 1


def windows(b: Builder, x: ir.Value, axis: int, window: Window) -> ir.Value:
    """Return static `x` with dim `axis` replaced by two: windows, and the elements of each."""
    shape = shape_of(x)
    wide = [*shape[:axis], window.count, window.size, *shape[axis + 1 :]]
    size, step, count, gap = window.size, window.step, window.count, window.dilation
    if size == step and gap == 1:
        return b.reshape(part(b, x, axis, 0, count * size), wide)
    if min(count, size) > _FEW_PARTS:
        index = np.arange(count)[:, None] * step + np.arange(size) * gap
        data = stored(b, x)
        return data.back(take_along(b, data.values[0], axis, b.const(index, i(32))))
    if count <= size:
        pieces = [strided_slice(b, x, axis, n * step, size, gap) for n in range(count)]
        return b.reshape(joined(b, pieces, axis), wide)
    columns = [strided_slice(b, x, axis, n * gap, count, step) for n in range(size)]
    apart = [*shape[:axis], count, 1, *shape[axis + 1 :]]
    return joined(b, [b.reshape(column, apart) for column in columns], axis + 1)


@lowers("torch.aten.unfold", quantized=_SHARED, traits=Trait.MOVES)
def unfold(ctx: Lowering) -> ir.Value:
    """`unfold(x, dim, size, step)`: windows, each as a new last dim."""
    b, x, size, step = ctx.b, ctx.tensor(0), ctx.integer(2), ctx.integer(3)
    shape = static_shape(x)
    if not shape:
        return b.reshape(x, ctx.out_shape())
    axis = ctx.dim(1, len(shape))
    found = windows(b, x, axis, Window(size, step, (shape[axis] - size) // step + 1))
    behind = range(axis + 2, len(shape) + 1)
    return b.transpose(found, [*range(axis + 1), *behind, axis + 1])


def _patches(ctx: Lowering, sizes: Sequence[int], first: int) -> tuple[list[Window], list[int]]:
    """Return the windows of both dims of an image, and its padding.

    Operands from `first` on are kernel, dilation, padding and stride.
    """
    kernel, dilation, padding, stride = (ctx.ints(first + n) for n in range(4))
    counts = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, p, d, k, s in zip(sizes, padding, dilation, kernel, stride, strict=True)
    ]
    return [Window(*v) for v in zip(kernel, stride, counts, dilation, strict=True)], padding


@lowers("torch.aten.im2col", quantized=_SHARED, traits=Trait.MOVES)
def im2col(ctx: Lowering) -> ir.Value:
    """`im2col(x, kernel, dilation, padding, stride)`: [N, C, H, W] to [N, C*kh*kw, patches]."""
    b, x = ctx.b, ctx.tensor(0)
    c, h, w = static_shape(x)[-3:]
    (rows, columns), (top, left) = _patches(ctx, (h, w), 1)
    image = b.reshape(x, [math.prod(shape_of(x)[:-3]), c, h, w])
    if top or left:
        image = b.pad(image, [(0, 0), (0, 0), (top, top), (left, left)])
    found = windows(b, windows(b, image, 2, rows), 4, columns)
    return b.reshape(b.transpose(found, (0, 1, 3, 5, 2, 4)), ctx.out_shape())


@lowers("torch.aten.col2im", precise=True)
def col2im(ctx: Lowering) -> ir.Value:
    """`col2im(x, size, kernel, dilation, padding, stride)`: where patches overlap, they add up."""
    b, x = ctx.b, ctx.tensor(0)
    sizes = ctx.ints(1)
    (rows, columns), (top, left) = _patches(ctx, sizes, 2)
    n = math.prod(static_shape(x)[:-2])
    channels = shape_of(x)[-2] // (rows.size * columns.size)
    cells = [n * channels, rows.size, columns.size, rows.count, columns.count]
    y = b.transpose(b.reshape(x, cells), (0, 3, 1, 4, 2))
    y = _overlapped(b, y, 3, columns, left, sizes[1])
    y = _overlapped(b, y, 1, rows, top, sizes[0])
    return b.reshape(y, ctx.out_shape())


def _overlapped(
    b: Builder, x: ir.Value, axis: int, window: Window, padding: int, size: int
) -> ir.Value:
    """Undo `windows` along `axis` of padded `size`, adding up what several windows hold."""
    shape = shape_of(x)
    if window.size == window.step and window.dilation == 1:
        whole = window.count * window.size
        y = b.reshape(x, [*shape[:axis], whole, *shape[axis + 2 :]])
        return pad_or_crop(b, y, axis, -padding, size + padding - whole)
    found = []
    for n in range(window.size):
        line = b.reshape(part(b, x, axis + 1, n, 1), shape[: axis + 1] + shape[axis + 2 :])
        line = spread(b, line, axis, window.step)
        start = n * window.dilation - padding
        found.append(pad_or_crop(b, line, axis, start, size - start - shape_of(line)[axis]))
    return reduce(b.add, found)
