"""Bilinear upscaling of int16 as a depthwise convolution and a shuffle, for Ethos-U55 and U65."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, accumulator_of
from tosaic.dialects.types import constant_value, element_of, i, shape_of
from tosaic.lowering.legalize.forms import Rescale, defining, is_i16, scalar, sole_reader
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass

_MAX_WEIGHT = 127


@pattern("tosa.rescale")
def upscaled_by_convolution(op: Any, b: Builder) -> ir.Value | None:
    """rescale(resize(x)): each output phase is three taps per dim of `x` with its edges doubled."""
    tail = Rescale.of(op)
    resize = None if tail is None else defining(tail.x, "resize", "sub")
    shift: float | None = 0.0
    if resize is not None and resize.name == "tosa.sub":  # of the zero point, times the weights
        shift, resize = scalar(resize.operands[1]), defining(resize.operands[0], "resize")
    if tail is None or resize is None or shift is None:
        return None
    x = resize.operands[0]
    scale, offset = (constant_value(v) for v in list(resize.operands)[1:3])
    if "BILINEAR" not in str(resize.attributes["mode"]) or not is_i16(x):
        return None
    if scale is None or offset is None or sole_reader(resize.results[0]) is None:
        return None
    (n, h, w, c), (_, out_h, out_w, _) = shape_of(x), shape_of(resize.results[0])
    taps = []
    for size, out, unit, step, start in (
        (h, out_h, int(scale[0]), int(scale[1]), int(offset[0])),
        (w, out_w, int(scale[2]), int(scale[3]), int(offset[1])),
    ):
        if out % size or out * step != size * unit or 2 * start != step - unit:
            return None  # no whole factor, or corners aligned
        taps.append(_taps(out // size, unit, step, start))
    weights = np.einsum("ph,qw->hwpq", *taps)
    if weights.max() > _MAX_WEIGHT:
        return None
    ups = [len(t) for t in taps]
    here = Builder(op.location, b.ip)
    for axis in (1, 2):
        x = _edges_doubled(here, x, axis)
    zero_point = round(shift / (int(scale[0]) * int(scale[2])))
    kernel = np.broadcast_to(weights.reshape(3, 3, 1, -1), (3, 3, c, ups[0] * ups[1]))
    channels = c * ups[0] * ups[1]
    y = here.conv2d(
        x,
        here.const(kernel, i(8)),
        here.const(np.zeros(channels), accumulator_of(element_of(x))),
        depthwise=True,
        zero_points=(zero_point, 0),
    )
    y = tail.build(here, y, element_of(op.results[0]))
    y = here.reshape(y, [n * h, w, c, ups[0], ups[1]])
    y = here.transpose(y, (0, 3, 1, 4, 2))
    return here.reshape(y, [n, out_h, out_w, c])


def _taps(factor: int, unit: int, step: int, start: int) -> np.ndarray[Any, Any]:
    """Return [phase, (before, here, after)] in units of one `unit`-th."""
    taps = np.zeros((factor, 3), np.int64)
    for phase in range(factor):
        where = phase * step + start  # within one element of the phase's own
        taps[phase] = (max(-where, 0), unit - abs(where), max(where, 0))
    return taps


def _edges_doubled(b: Builder, x: ir.Value, axis: int) -> ir.Value:
    shape = shape_of(x)
    first, last = [0] * 4, [0] * 4
    last[axis] = shape[axis] - 1
    size = [1 if n == axis else d for n, d in enumerate(shape)]
    return b.concat([b.slice(x, first, size), x, b.slice(x, last, size)], axis)


@register_pass
@dataclasses.dataclass(frozen=True)
class BilinearUpscale(PatternPass):
    """Replace an int16 bilinear RESIZE by a whole factor with a depthwise convolution.

    Ethos-U55 and U65 run no bilinear RESIZE with half-pixel centres. The weights are the small
    integers that RESIZE itself multiplies with, so the result is the same to the bit. Factors above
    5 in both dims have weights beyond 8 bits and stay. (int8 is left to tosaic-resize-by-weights,
    whose sums in between int16 has no room for.)
    """

    name: ClassVar[str] = "tosaic-bilinear-upscale"
    patterns: ClassVar[tuple[Pattern, ...]] = (upscaled_by_convolution,)
