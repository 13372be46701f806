"""Cutting tensors into pieces, joining and repeating them: what most lowerings need."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import is_static, shape_of
from tosaic.lowering.ops import Lowering, Refusal


def static_shape(value: ir.Value) -> list[int]:
    """Return the shape of `value`.

    Raises:
        Refusal: where a dim is dynamic.
    """
    shape = shape_of(value)
    if not is_static(shape):
        raise Refusal("it needs static shapes; specialise them")
    return shape


def part(b: Builder, x: ir.Value, axis: int, start: int, size: int) -> ir.Value:
    """Return `size` items of `x` along `axis` from `start`."""
    begin, extent = [0] * len(shape_of(x)), shape_of(x)
    begin[axis], extent[axis] = start, size
    return b.slice(x, begin, extent)


def joined(b: Builder, values: Sequence[ir.Value], axis: int) -> ir.Value:
    """Return `values` one behind the other along `axis`."""
    return values[0] if len(values) == 1 else b.concat(values, axis)


def stacked(b: Builder, values: Sequence[ir.Value], axis: int) -> ir.Value:
    """Return `values`, of one shape, along a new dim `axis`."""
    shape = shape_of(values[0])
    wide = [*shape[:axis], 1, *shape[axis:]]
    return joined(b, [b.reshape(value, wide) for value in values], axis)


def rolled(b: Builder, x: ir.Value, axis: int, shift: int) -> ir.Value:
    """Return `x` moved along `axis` by `shift`; what leaves at one end comes in at the other."""
    size = shape_of(x)[axis]
    cut = -shift % size
    if not cut:
        return x
    return b.concat([part(b, x, axis, cut, size - cut), part(b, x, axis, 0, cut)], axis)


def broadcast(b: Builder, x: ir.Value, shape: Sequence[int]) -> ir.Value:
    """Return `x` repeated to `shape`."""
    own = [1] * (len(shape) - len(shape_of(x))) + shape_of(x)
    repeats = [1 if n == m else m for n, m in zip(own, shape, strict=True)]
    return b.tile(b.reshape(x, own), repeats)


def restored(b: Builder, x: ir.Value, perms: Sequence[int]) -> ir.Value:
    """Undo the transpose by `perms`."""
    return b.transpose(x, [list(perms).index(k) for k in range(len(perms))])


def last(b: Builder, x: ir.Value, axis: int) -> tuple[ir.Value, Callable[[ir.Value], ir.Value]]:
    """Return `x` as [N, size of `axis`], and the way back for one with another last dim."""
    perms = [k for k in range(len(shape_of(x))) if k != axis] + [axis]
    moved = b.transpose(x, perms)
    shape = shape_of(moved)

    def back(y: ir.Value) -> ir.Value:
        return restored(b, b.reshape(y, [*shape[:-1], shape_of(y)[-1]]), perms)

    return b.reshape(moved, [math.prod(shape[:-1]), shape[-1]]), back


def unread(ctx: Lowering, index: int, why: str) -> ir.Value:
    """Return a constant for result `index`, which nothing reads.

    Raises:
        Refusal: where something does; `why` it is not computed.
    """
    if list(ctx.op.results[index].uses):
        raise Refusal(f"its result {index} is used, and {why}")
    return ctx.b.const(np.zeros(ctx.out_shape(index)), ctx.out_element(index))


_MOST_COMPARISONS = 2**24


def refuse_many(count: int, what: str) -> None:
    """Refuse what compares every element with every other where these are too many.

    Raises:
        Refusal: where `count` is.
    """
    if count > _MOST_COMPARISONS:
        raise Refusal(
            f"{what} takes {count} comparisons, more than {_MOST_COMPARISONS}; make it smaller"
        )
