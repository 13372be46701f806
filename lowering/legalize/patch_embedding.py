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
    single = shape_of(conv.x)[0] == 1
    if conv.stride[0] > _MAX_STRIDE and not single:
        return None
    rows, columns = _folds(conv)
    if rows is None or columns is None:
        conv = _padded(b, conv)
        rows, columns = _folds(conv)
        assert rows is not None
        assert columns is not None
    transpose = defining(conv.x, "transpose") if single else None
    planes = transpose is not None and attr_ints(transpose, "perms") == list(NHWC)
    source = transpose.operands[0] if planes and transpose is not None else conv.x
    return fold_convolution(b, conv, rows, columns, source, planes=planes)


def _folds(conv: Convolution) -> tuple[Fold | None, Fold | None]:
    down, across = conv.stride
    rows = Fold.of(conv, 0, down if down > _MAX_STRIDE else 1)
    columns = Fold.of(conv, 1, across) or (Fold.of(conv, 1, 1) if across <= _MAX_STRIDE else None)
    return rows, columns


def _padded(b: Builder, conv: Convolution) -> Convolution:
    """Return `conv` reading whole groups of pixels, its padding among them."""
    before, after = [0] * 4, [0] * 4
    pad = list(conv.pad)
    for axis, stride in enumerate(conv.stride):
        if stride > _MAX_STRIDE:
            size, out = shape_of(conv.x)[axis + 1], conv.out_shape[axis + 1]
            groups = out - 1 + -(-conv.weight.shape[axis + 1] // stride)
            before[axis + 1] = pad[2 * axis]
            after[axis + 1] = groups * stride - size - pad[2 * axis]
            pad[2 * axis : 2 * axis + 2] = [0, 0]
    kept = [size + min(n, 0) for size, n in zip(shape_of(conv.x), after, strict=True)]
    x = b.slice(conv.x, [0] * 4, kept)  # pixels that no window reads
    added = [(n, max(m, 0)) for n, m in zip(before, after, strict=True)]
    return dataclasses.replace(conv, x=b.pad(x, added, conv.zero_points[0]), pad=tuple(pad))


@register_pass
@dataclasses.dataclass(frozen=True)
class SplitStridedConv(PatternPass):
    """Compute convolutions of stride above 3 (patch embeddings) with stride 1, exactly.

    Ethos-U has strides up to 3; Vela cuts anything else into one operation per output row or worse.
    Pixels that share a window become channels: columns by a reshape, rows by slices that a
    depthwise 1x1 copies into a concat. A kernel longer than the stride gets zero taps. An NCHW
    input is read plane by plane, so its transpose goes away too. Height or width that is no
    multiple of the stride is padded to one. Dilated convolutions are left for the limits check to
    report.
    """

    name: ClassVar[str] = "tosaic-split-strided-conv"
    patterns: ClassVar[tuple[Pattern, ...]] = (split_strided,)
