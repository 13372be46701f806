"""Slices move up past reshapes and other slices, to where they are views of a whole tensor."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, const_shape_of
from tosaic.dialects.types import is_static, shape_of
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass


@dataclasses.dataclass(frozen=True)
class Box:
    """What a slice takes."""

    start: tuple[int, ...]
    size: tuple[int, ...]

    @classmethod
    def of(cls, op: Any) -> Box | None:
        """Read a static `tosa.slice`."""
        start, size = (const_shape_of(v) for v in list(op.operands)[1:3])
        static = is_static(shape_of(op.operands[0])) and is_static(shape_of(op.results[0]))
        if start is None or size is None or not static:
            return None
        return cls(tuple(start), tuple(shape_of(op.results[0])))


@pattern("tosa.slice")
def of_slice(op: Any, b: Builder) -> ir.Value | None:
    """slice(slice(x)) is one slice."""
    inner = op.operands[0].owner
    if isinstance(inner, ir.Block) or inner.name != "tosa.slice":
        return None
    box, before = Box.of(op), Box.of(inner)
    if box is None or before is None:
        return None
    start = [p + q for p, q in zip(box.start, before.start, strict=True)]
    return b.slice(inner.operands[0], start, box.size)


@pattern("tosa.slice")
def of_reshape(op: Any, b: Builder) -> ir.Value | None:
    """slice(reshape(x)) is reshape(slice(x)) where it takes one run of each regrouped dim."""
    inner = op.operands[0].owner
    box = Box.of(op)
    if isinstance(inner, ir.Block) or inner.name != "tosa.reshape" or box is None:
        return None
    if any(use.owner.name != "tosa.slice" for use in op.operands[0].uses):
        return None  # the reshape stays, and a tensor read in two shapes is copied
    source = inner.operands[0]
    outer = _box_before(shape_of(source), shape_of(op.operands[0]), box)
    if outer is None:
        return None
    return b.reshape(b.slice(source, outer.start, outer.size), box.size)


def _box_before(before: list[int], after: list[int], box: Box) -> Box | None:
    """Return the box of a tensor of dims `before` that, seen as `after`, is `box`."""
    if not is_static(before) or 0 in before:
        return None
    start: list[int] = []
    size: list[int] = []
    for old, new in _groups(before, after):
        dims = after[new]
        at, many = box.start[new], box.size[new]
        if list(before[old]) == list(dims):
            start += at
            size += many
            continue
        run = _run(dims, at, many)
        if run is None:
            return None
        if run[1] == math.prod(dims):
            start += [0] * len(before[old])
            size += before[old]
            continue
        outermost = [n for n, d in enumerate(before[old]) if d > 1]
        inside = math.prod(before[old]) // before[old][outermost[0]]
        if run[0] % inside or run[1] % inside:
            return None
        for n, d in enumerate(before[old]):
            first = n == outermost[0]
            start.append(run[0] // inside if first else 0)
            size.append(run[1] // inside if first else d)
    return Box(tuple(start), tuple(size))


def _groups(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Yield the smallest runs of dims that hold the same elements before and after a reshape."""
    i = j = 0
    while i < len(before) or j < len(after):
        first, second = i, j
        left = right = 1
        while True:
            if left <= right and i < len(before) and (left < right or i == first):
                left, i = left * before[i], i + 1
            elif j < len(after) and (right < left or j == second):
                right, j = right * after[j], j + 1
            else:
                break
        # Dims of 1 at the very end belong to the last run.
        if math.prod(before[i:]) == math.prod(after[j:]) == 1:
            i, j = len(before), len(after)
        yield slice(first, i), slice(second, j)


def _run(dims: Sequence[int], start: Sequence[int], size: Sequence[int]) -> tuple[int, int] | None:
    """Return (first element, count) where a box of `dims` is one run of elements."""
    moving = [n for n, count in enumerate(size) if count > 1] or [len(dims) - 1]
    inner = moving[0] + 1
    if list(size[inner:]) != list(dims[inner:]):
        return None
    strides = [math.prod(dims[n + 1 :]) for n in range(len(dims))]
    return sum(s * d for s, d in zip(start, strides, strict=True)), math.prod(size)


@register_pass
@dataclasses.dataclass(frozen=True)
class HoistSlices(PatternPass):
    """Move slices up past reshapes, and join slices of slices.

    A slice of a whole tensor is a view to an NPU: the op that reads it reads at an offset. Behind a
    reshape it is a copy. Slices that are not one run of a regrouped dim stay where they are.
    """

    name: ClassVar[str] = "tosaic-hoist-slices"
    patterns: ClassVar[tuple[Pattern, ...]] = (of_slice, of_reshape)
