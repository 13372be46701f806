"""GATHER as a product with rows of zeros and a one, for Ethos-U55 and U65."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import constant_value, i, is_static, shape_of
from tosaic.lowering.legalize.forms import UNIT, is_i8
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass

_MOST_PLACES = 1 << 20  # of all rows together: an int32 each


@pattern("tosa.gather")
def selected(op: Any, b: Builder) -> ir.Value | None:
    """Each index is compared with all there are: 1 - min(|index - place|, 1)."""
    values, indices = op.operands
    if not is_i8(values) or not is_static(shape_of(indices)):
        return None
    n, count, channels = shape_of(values)
    rows = shape_of(indices)[1]
    if n * rows * count > _MOST_PLACES:
        return None
    places = b.const(np.arange(count).reshape(1, 1, count), i(32))
    apart = b.unary("tosa.abs", b.sub(b.reshape(indices, [n, rows, 1]), places))
    chosen = b.sub(b.splat(apart, 1), b.clamp(apart, None, 1))
    chosen = b.rescale(chosen, i(8), [UNIT[0]], [UNIT[1]])
    known = constant_value(values)
    if known is not None and n == 1:
        bias = b.const(np.zeros(channels), i(32))
        weight = b.const(known[0].T.reshape(channels, 1, 1, count), i(8))
        y = b.conv2d(b.reshape(chosen, [1, 1, rows, count]), weight, bias)
    else:
        y = b.matmul(chosen, values)
    return b.reshape(b.rescale(y, i(8), [UNIT[0]], [UNIT[1]]), [n, rows, channels])


@register_pass
@dataclasses.dataclass(frozen=True)
class GatherByProduct(PatternPass):
    """Look rows of int8 up by a matrix product; of a constant table it is a 1x1 convolution.

    Ethos-U55 and U65 have no GATHER. Which row is meant is computed in int32, in time that grows
    with rows times the table's length, so long tables are left. Indices are as GATHER takes them:
    one that is out of range gives zeros.
    """

    name: ClassVar[str] = "tosaic-gather-by-product"
    patterns: ClassVar[tuple[Pattern, ...]] = (selected,)
