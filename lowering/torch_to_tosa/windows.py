"""What convolutions and pools share: NHWC around the op, and windows that divide exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import NCHW, NHWC, Builder
from tosaic.dialects.types import DYNAMIC, shape_of
from tosaic.lowering.ops import Refusal


@dataclass(frozen=True)
class Restore:
    """How to get from NHWC back to what PyTorch expects."""

    spatial: int
    batched: bool


def to_nhwc(b: Builder, x: ir.Value, spatial: int) -> tuple[ir.Value, Restore]:
    """Return `x` ([N,C,L], [N,C,H,W], or either without N) as [N,H,W,C], and the way back."""
    restore = Restore(spatial, len(shape_of(x)) == spatial + 2)
    if not restore.batched:
        x = b.reshape(x, [1, *shape_of(x)])
    if spatial == 1:
        n, c, length = shape_of(x)
        x = b.reshape(x, [n, c, 1, length])
    return b.transpose(x, NHWC), restore


def to_nchw(b: Builder, y: ir.Value, restore: Restore) -> ir.Value:
    """Undo `to_nhwc` on a result [N,H,W,C]."""
    y = b.transpose(y, NCHW)
    shape = shape_of(y)
    if restore.spatial == 1:
        del shape[2]
    return b.reshape(y, shape if restore.batched else shape[1:])


def fit_window(
    b: Builder,
    x: ir.Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    before: Sequence[int],
    after: Sequence[int],
) -> tuple[ir.Value, list[int]]:
    """Return `x` and TOSA padding (top, bottom, left, right) so that the windows fit exactly.

    TOSA demands that the last window ends at the padded border (1.0, CONV2D and the pools); what
    PyTorch leaves over at the end is taken from the padding first and then cut off the input.
    """
    shape = shape_of(x)
    size, pad = list(shape), []
    for axis in (0, 1):
        extent = shape[axis + 1]
        end = after[axis]
        if extent != DYNAMIC:
            span = extent + before[axis] + end - dilation[axis] * (kernel[axis] - 1) - 1
            rest = span % stride[axis]
            end -= rest
            if end < 0:
                size[axis + 1] += end
                end = 0
        elif stride[axis] != 1:
            raise Refusal("windows with a stride need a static size; specialise the shapes")
        pad += [before[axis], end]
    return b.slice(x, [0] * len(shape), size), pad


def strided_slice(
    b: Builder, x: ir.Value, axis: int, start: int, count: int, step: int
) -> ir.Value:
    """Return every `step`-th of static `x` along `axis`, `count` elements from `start`."""
    shape = shape_of(x)
    begin, size = [0] * len(shape), list(shape)
    begin[axis], size[axis] = start, min(count * step, shape[axis] - start)
    x = b.slice(x, begin, size)
    if step == 1:
        return x
    missing = count * step - size[axis]
    if missing:
        padding = [(0, 0)] * len(shape)
        padding[axis] = (0, missing)
        x = b.pad(x, padding)
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    x = b.slice(b.reshape(x, [outer, count, step, inner]), [0] * 4, [outer, count, 1, inner])
    return b.reshape(x, [*shape[:axis], count, *shape[axis + 1 :]])


def spread(b: Builder, x: ir.Value, axis: int, step: int) -> ir.Value:
    """Put ``step - 1`` zeros between the elements along `axis`."""
    if step == 1:
        return x
    shape = shape_of(x)
    left, right = shape[:axis], shape[axis + 1 :]
    outer, inner = math.prod(left), math.prod(right)
    y = b.reshape(x, [outer, shape[axis], 1, inner])
    y = b.pad(y, [(0, 0), (0, 0), (0, step - 1), (0, 0)])
    y = b.reshape(y, [*left, shape[axis] * step, *right])
    return pad_or_crop(b, y, axis, 0, 1 - step)


def pad_or_crop(
    b: Builder, x: ir.Value, axis: int, before: int, after: int, value: float = 0
) -> ir.Value:
    """Add `value` at both ends of `axis`, or take off as many elements where negative."""
    begin, size = [0] * len(shape_of(x)), shape_of(x)
    begin[axis] = max(0, -before)
    size[axis] -= max(0, -before) + max(0, -after)
    x = b.slice(x, begin, size)
    if max(before, after) <= 0:
        return x
    padding = [(0, 0)] * len(size)
    padding[axis] = (max(0, before), max(0, after))
    return b.pad(x, padding, value)
