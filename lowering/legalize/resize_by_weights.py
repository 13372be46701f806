"""RESIZE by any factor as two matrix products, for Ethos-U55 and U65."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, accumulator_of
from tosaic.dialects.types import constant_value, element_of, i, shape_of
from tosaic.lowering.legalize.forms import UNIT, is_i8
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass

_MAX_WEIGHT = 127
_NATIVE = (2.0, 4.0, 8.0)  # factors by which the NPU copies the nearest


@pattern("tosa.resize")
def weighted(op: Any, b: Builder) -> ir.Value | None:
    """Rows, then columns, are sums of two with small weights, or copies of the nearest."""
    x = op.operands[0]
    scale, offset = (constant_value(v) for v in list(op.operands)[1:3])
    if scale is None or offset is None or not is_i8(x):
        return None
    units, steps = (scale[0], scale[2]), (scale[1], scale[3])
    bilinear = "BILINEAR" in str(op.attributes["mode"])
    factors = {int(u) / int(s) for u, s in zip(units, steps, strict=True)}
    if not bilinear and factors.issubset(_NATIVE):
        return None
    sizes = zip(shape_of(x)[1:3], shape_of(op.results[0])[1:3], strict=True)
    weights = [
        _weights(*size, int(unit), int(step), int(start), bilinear=bilinear)
        for size, unit, step, start in zip(sizes, units, steps, offset, strict=True)
    ]
    if max(int(w.max()) for w in weights) > _MAX_WEIGHT:
        return None
    # Sums of the first dim fit int16: the weights of each add up to at most 127.
    between = i(16) if bilinear else i(8)
    rows = _product(b, x, weights[0], 1, between)
    return _product(b, rows, weights[1], 2, element_of(op.results[0]))


def _weights(
    size: int, out: int, unit: int, step: int, start: int, *, bilinear: bool
) -> npt.NDArray[np.int64]:
    """Return [out, size]: how often each element is in each of the results, in `unit`-ths.

    TOSA 1.0, section "RESIZE"; of the nearest it is once.
    """
    weights = np.zeros((out, size), np.int64)
    for row in range(out):
        whole, rest = divmod(row * step + start, unit)
        here, after = (min(max(n, 0), size - 1) for n in (whole, whole + 1))
        if bilinear:
            weights[row, here] += unit - rest
            weights[row, after] += rest
        else:
            weights[row, after if 2 * rest >= unit else here] = 1
    return weights


def _product(
    b: Builder, x: ir.Value, weights: npt.NDArray[np.int64], axis: int, element: ir.Type
) -> ir.Value:
    """Return `weights` times the columns of `x` along `axis`, exactly, as `element`."""
    order = [n for n in range(4) if n != axis] + [axis]
    out, size = weights.shape
    inner = b.transpose(x, order)
    bias = b.const(np.zeros(out), accumulator_of(element_of(x)))
    y = b.conv2d(inner, b.const(weights.reshape(out, 1, 1, size), i(8)), bias)
    if element_of(y) != element:
        bits = 30 if element_of(y).width == 32 else 14
        y = b.rescale(y, element, [UNIT[0] >> (UNIT[1] - bits)], [bits])
    return b.transpose(y, [order.index(n) for n in range(4)])


@register_pass
@dataclasses.dataclass(frozen=True)
class ResizeByWeights(PatternPass):
    """Replace an int8 RESIZE with two 1x1 convolutions, but the nearest by factors of 2, 4 and 8.

    Along each dim a result is a sum of two elements with whole weights, which RESIZE itself
    multiplies with, or a copy of one; a convolution over that dim, brought to the channels, is the
    same to the bit, and has a third of the cycles of a depthwise one that writes each phase. Where
    a weight exceeds 127 the RESIZE is left.
    """

    name: ClassVar[str] = "tosaic-resize-by-weights"
    patterns: ClassVar[tuple[Pattern, ...]] = (weighted,)
