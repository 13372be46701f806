"""Depthwise convolutions with a stride beyond the device's limit, as a short stride and a pick."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.lowering.legalize.forms import Convolution, Rescale, defining, sole_reader
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass

_MAX_STRIDE = 3


@pattern("tosa.rescale")
def split_strided(op: Any, b: Builder) -> ir.Value | None:
    """rescale(depthwise s4) is every second pixel of rescale(depthwise s2)."""
    rescale = Rescale.of(op)
    source = defining(op.operands[0], "depthwise_conv2d")
    conv = Convolution.of(source, "tosa.depthwise_conv2d")
    if source is None or conv is None or max(conv.stride) <= _MAX_STRIDE:
        return None
    if rescale is None or sole_reader(rescale.x) is None:
        return None
    short = [max(n for n in range(1, _MAX_STRIDE + 1) if s % n == 0) for s in conv.stride]
    sums = b.conv2d(
        conv.x,
        *list(source.operands)[1:3],
        zero_points=conv.zero_points,
        pad=conv.pad,
        stride=short,
        depthwise=True,
    )
    pixels = rescale.build(b, sums, ir.RankedTensorType(op.results[0].type).element_type)
    rest = [s // n for s, n in zip(conv.stride, short, strict=True)]
    return b.max_pool2d(pixels, [1, 1], rest, [0] * 4)


@register_pass
@dataclasses.dataclass(frozen=True)
class SplitStridedDepthwise(PatternPass):
    """Compute depthwise convolutions and average pools of stride above 3 with a stride they have.

    Ethos-U55 and U65 have strides up to 3. The largest divisor of the stride that they have is
    used; a max pool of single pixels then picks those that the longer stride would have given. The
    result is exact.
    """

    name: ClassVar[str] = "tosaic-split-strided-depthwise"
    patterns: ClassVar[tuple[Pattern, ...]] = (split_strided,)
