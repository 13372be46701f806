"""Convolutions with a stride beyond the device's limit, as space-to-depth and a small kernel."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import NHWC, Builder, attr_ints
from tosaic.dialects.types import shape_of
from tosaic.lowering.legalize.forms import Convolution, defining
from tosaic.lowering.legalize.space_to_depth import Fold, fold_convolution
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass

_MAX_STRIDE = 3


@pattern("tosa.conv2d")
def split_strided(op: Any, b: Builder) -> ir.Value | None:
    """conv k16 s16 becomes slices, their concat along C and a 1x1 convolution."""
    conv = Convolution.of(op)
    if conv is None or max(conv.stride) <= _MAX_STRIDE:
        return None
    down, across = conv.stride
    rows = Fold.of(conv, 0, down if down > _MAX_STRIDE else 1)
    columns = Fold.of(conv, 1, across) or (Fold.of(conv, 1, 1) if across <= _MAX_STRIDE else None)
    transpose = defining(conv.x, "transpose")
    planes = transpose is not None and attr_ints(transpose, "perms") == list(NHWC)
    source = transpose.operands[0] if planes and transpose is not None else conv.x
    if rows is None or columns is None or (shape_of(source)[0] != 1 and (planes or rows.group > 1)):
        return None
    return fold_convolution(b, conv, rows, columns, source, planes=planes)


@register_pass
@dataclasses.dataclass(frozen=True)
class SplitStridedConv(PatternPass):
    """Compute convolutions of stride above 3 (patch embeddings) with stride 1, exactly.

    Ethos-U has strides up to 3; Vela cuts anything else into one operation per output row or worse.
    Pixels that share a window become channels: columns by a reshape, rows by slices that a
    depthwise 1x1 copies into a concat. A kernel longer than the stride gets zero taps. An NCHW
    input is read plane by plane, so its transpose goes away too. Height and width must be multiples
    of the stride; other convolutions are left for the limits check to report.
    """

    name: ClassVar[str] = "tosaic-split-strided-conv"
    patterns: ClassVar[tuple[Pattern, ...]] = (split_strided,)
