"""Sums of int8 as matrix products with ones, for a runtime that has no int32 copy to spare.

REDUCE_SUM takes int32 only, so a quantised mean widens its whole input first: four times its bytes,
more than any other tensor of a small CNN. MATMUL sums int8 as it is, subtracts the zero point, and
its RESCALE runs with it. The result is the same in every bit.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import i, shape_of
from tosaic.lowering.legalize.forms import Rescale, defining, is_i8, sole_reader
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass


@pattern("tosa.reduce_sum")
def sum_by_matmul(op: Any, b: Builder) -> ir.Value | None:
    """REDUCE_SUMs of adjacent axes, of what a RESCALE by one widened from int8."""
    reader = sole_reader(op.results[0])
    if reader is not None and reader.name == "tosa.reduce_sum":
        return None  # it is the one to rewrite
    axes: list[int] = []
    source = op.results[0]
    while (reduction := defining(source, "reduce_sum")) is not None:
        if axes and sole_reader(source) is None:
            return None
        axes.append(int(reduction.attributes["axis"].value))
        source = reduction.operands[0]
    widened = Rescale.of(defining(source, "rescale"))
    first, last = min(axes), max(axes)
    if widened is None or sole_reader(source) is None or last - first >= len(axes):
        return None
    if not (is_i8(widened.x) and widened.is_unit and widened.zero_points[1] == 0):
        return None
    dims = shape_of(widened.x)
    before, summed, behind = (
        math.prod(part) for part in (dims[:first], dims[first : last + 1], dims[last + 1 :])
    )
    ones = b.const(np.ones((before, 1, summed)), i(8))
    values = b.reshape(widened.x, [before, summed, behind])
    total = b.matmul(ones, values, zero_points=(0, widened.zero_points[0]))
    return b.reshape(total, shape_of(op.results[0]))


@register_pass
@dataclasses.dataclass(frozen=True)
class SumByMatmul(PatternPass):
    """Rewrite sums of widened int8 as `tosa.matmul` with ones, which needs no int32 copy."""

    name: ClassVar[str] = "tosaic-sum-by-matmul"
    patterns: ClassVar[tuple[Pattern, ...]] = (sum_by_matmul,)
