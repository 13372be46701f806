"""Maxima and minima along the last dim, found along a dim that the device walks fast."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import is_static, shape_of
from tosaic.lowering.passes import Pattern, PatternPass, register_pass

_LEAST_ROWS = 8


def along_columns(op: Any, b: Builder) -> ir.Value | None:
    """reduce_max(x, last) is reduce_max(transpose x, last but one)."""
    x = op.operands[0]
    *rows, count = shape_of(x)
    if op.attributes["axis"].value != len(rows) or not is_static(shape_of(x)) or count == 1:
        return None
    if math.prod(rows) < _LEAST_ROWS:
        return None
    columns = b.transpose(b.reshape(x, [1, 1, math.prod(rows), count]), (0, 1, 3, 2))
    return b.reshape(b.reduce(op.name, columns, 2), shape_of(op.results[0]))


@register_pass
@dataclasses.dataclass(frozen=True)
class MaximumByColumns(PatternPass):
    """Transpose before a REDUCE_MAX or REDUCE_MIN along the last dim.

    Ethos-U finds maxima along the width for many channels at once. Along the channels Vela makes
    them a width with one channel, of 8 or 16 that are computed: 4 cycles per element, where the
    transpose and the maximum are one.
    """

    name: ClassVar[str] = "tosaic-maximum-by-columns"
    patterns: ClassVar[tuple[Pattern, ...]] = tuple(
        Pattern(name, along_columns) for name in ("tosa.reduce_max", "tosa.reduce_min")
    )
