"""Transposed convolutions as ordinary ones, a phase of the output each, interleaved by a reshape.

Output pixel ``stride*m + p`` of a transposed convolution is an ordinary stride-1 convolution at m,
with every stride-th tap of the kernel (the sub-pixel form: Shi et al., 2016, arXiv:1609.05158).
The phases of a row become output channels of one convolution. The phases of the rows are
convolutions of their own, side by side in a concat along W. Then [H, sh*W, sw*C] is, read in order,
already [sh*H, sw*W, C].
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, accumulator_of
from tosaic.dialects.types import element_of, i, shape_of
from tosaic.lowering.legalize.forms import Convolution, Ints, Tail
from tosaic.lowering.passes import Pattern, PatternPass, register_pass


@dataclasses.dataclass(frozen=True)
class _Axis:
    """One axis of a transposed convolution, `size` pixels in and `out` out."""

    size: int
    out: int
    kernel: int
    stride: int
    before: int  # out_pad

    @classmethod
    def of(cls, conv: Convolution, axis: int) -> _Axis:
        return cls(
            shape_of(conv.x)[axis + 1],
            conv.out_shape[axis + 1],
            conv.weight.shape[axis + 1],
            conv.stride[axis],
            conv.pad[2 * axis],
        )

    @property
    def length(self) -> int:
        """The outputs of each phase; the last phases may have one too many."""
        return -(-self.out // self.stride)

    def taps(self, phase: int) -> dict[int, int]:
        """Return the input offset that each kernel tap reads for outputs of `phase`."""
        first = phase - self.before
        return {
            t: (first - t) // self.stride
            for t in range(self.kernel)
            if (first - t) % self.stride == 0
        }

    def reach(self, phases: range) -> tuple[int, int]:
        """Return the first and last input offset of a kernel that serves `phases`."""
        offsets = [d for phase in phases for d in self.taps(phase).values()]
        # Padding is not negative: the kernel also covers what the outputs do not need.
        return min([0, *offsets]), max([self.size - self.length, 0, *offsets])

    def padding(self, reach: tuple[int, int]) -> tuple[int, int]:
        low, high = reach
        return -low, self.length + high - self.size


def lower(op: Any, b: Builder) -> ir.Value | None:
    """Rewrite a TRANSPOSE_CONV2D together with the tail that ends at `op`."""
    tail = Tail.ending_at(op)
    if tail is None:
        return None
    conv = Convolution.of(tail.accumulator.owner, "tosa.transpose_conv2d")
    if conv is None:
        return None
    here = Builder(conv.location, b.ip)
    rows, columns = _Axis.of(conv, 0), _Axis.of(conv, 1)
    parts = [
        tail.build(b, _phase(here, conv, rows, columns, phase), columns.stride)
        for phase in range(rows.stride)
    ]
    n, out_h, out_w, c = conv.out_shape
    joined = parts[0] if len(parts) == 1 else here.concat(parts, 2)
    whole = [n, rows.length * rows.stride, columns.length * columns.stride, c]
    return here.slice(here.reshape(joined, whole), [0] * 4, [n, out_h, out_w, c])


def _phase(b: Builder, conv: Convolution, rows: _Axis, columns: _Axis, phase: int) -> ir.Value:
    """Return the accumulator of the rows of one phase, [N, H', W', sw*OC]."""
    down, across = rows.reach(range(phase, phase + 1)), columns.reach(range(columns.stride))
    channels, _, _, depth = conv.weight.shape
    shape = (columns.stride, channels, down[1] - down[0] + 1, across[1] - across[0] + 1, depth)
    weight: Ints = np.full(shape, conv.zero_points[1])
    for column_phase in range(columns.stride):
        for ky, dy in rows.taps(phase).items():
            for kx, dx in columns.taps(column_phase).items():
                weight[column_phase, :, dy - down[0], dx - across[0]] = conv.weight[:, ky, kx]
    return b.conv2d(
        conv.x,
        b.const(weight.reshape(-1, *shape[2:]), i(8)),
        b.const(np.tile(conv.bias, columns.stride), accumulator_of(element_of(conv.x))),
        pad=(*rows.padding(down), *columns.padding(across)),
        zero_points=conv.zero_points,
    )


@register_pass
@dataclasses.dataclass(frozen=True)
class LowerTransposeConv(PatternPass):
    """Compute transposed convolutions as stride-1 convolutions, exactly, at any stride.

    Vela never joins a RESCALE to a TRANSPOSE_CONV2D and refuses strides above 2 on U55 and U65.
    Each row phase is one convolution whose channels are the column phases; concat and reshape put
    them in order at no cost. An output size that is no multiple of the stride is computed rounded
    up and cut. Accumulators that are not rescaled stay as they are.
    """

    name: ClassVar[str] = "tosaic-lower-transpose-conv"
    patterns: ClassVar[tuple[Pattern, ...]] = tuple(
        Pattern(end, lower) for end in ("tosa.rescale", "tosa.clamp", "tosa.table")
    )
