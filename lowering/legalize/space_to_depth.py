"""Neighbouring pixels as channels: the arithmetic shared by the passes that fold convolutions.

A convolution with stride s along an axis reads, for each output, a window that starts at a multiple
of s. Take g = q*s neighbours together as channels: one window of the folded map then yields q
outputs, the kernel shrinks to about 1/g of its length and the stride along this axis becomes 1.
Taps that no output uses hold the weight's zero point and add nothing, so the result is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, accumulator_of
from tosaic.dialects.types import element_of, i, shape_of
from tosaic.lowering.legalize.forms import Convolution, Ints, copied


@dataclass(frozen=True)
class Fold:
    """`group` neighbours along an axis of a convolution become channels (1: as it is)."""

    group: int
    stride: int
    kernel: int
    before: int
    after: int

    @classmethod
    def of(cls, conv: Convolution, axis: int, group: int) -> Fold | None:
        """Fold `conv` along H (`axis` 0) or W (1); None if sizes do not divide."""
        size, out = shape_of(conv.x)[axis + 1], conv.out_shape[axis + 1]
        stride, before = conv.stride[axis], conv.pad[2 * axis]
        fold = cls(group, stride, conv.weight.shape[axis + 1], before, conv.pad[2 * axis + 1])
        fits = group == 1 or not (group % stride or size % group or out % fold.outputs)
        return fold if fits else None

    @property
    def outputs(self) -> int:
        """How many outputs one folded window yields."""
        return max(1, self.group // self.stride)

    @property
    def folded_stride(self) -> int:
        """The stride that is left."""
        return self.stride if self.group == 1 else 1

    @property
    def folded_before(self) -> int:
        """The padding before, in groups."""
        return -(-self.before // self.group)

    @property
    def folded_kernel(self) -> int:
        """The kernel's length, in groups."""
        last = self._first_tap + (self.outputs - 1) * self.stride + self.kernel
        return -(-last // self.group)

    def folded_after(self, size: int, out: int) -> int:
        """Return the padding after, in groups, for `size` pixels that give `out` outputs."""
        if self.group == 1:
            return self.after
        end = out // self.outputs - 1 + self.folded_kernel
        return end - self.folded_before - size // self.group

    @property
    def _first_tap(self) -> int:
        return self.folded_before * self.group - self.before

    def spread(self, weight: Ints, axis: int, fill: int) -> Ints:
        """Split `axis` of `weight` into (folded tap, position in group); outputs become axis 0."""
        taps = np.moveaxis(weight, axis, 0)
        out = np.full((self.outputs, self.folded_kernel, self.group, *taps.shape[1:]), fill)
        for output in range(self.outputs):
            for tap in range(self.kernel):
                at = self._first_tap + output * self.stride + tap
                out[output, at // self.group, at % self.group] = taps[tap]
        return np.moveaxis(out, (1, 2), (axis + 1, axis + 2))


def fold_convolution(
    b: Builder, conv: Convolution, rows: Fold, columns: Fold, source: ir.Value, *, planes: bool
) -> ir.Value:
    """Return the accumulator of `conv` folded, [N, OH, OW/q, q*OC] with q = ``columns.outputs``.

    `source` is the input of `conv`, or with `planes` the NCHW tensor it is the transpose of.
    `rows` must yield one output per window.
    """
    _, h, w, _ = shape_of(conv.x)
    _, out_h, out_w, channels = conv.out_shape
    weight = rows.spread(conv.weight, 1, conv.zero_points[1])[0]  # O, kh, gh, kw, c
    weight = columns.spread(weight, 3, conv.zero_points[1])  # q, O, kh, gh, kw, gw, c
    order = (0, 1, 2, 4, 6, 3, 5) if planes else (0, 1, 2, 4, 3, 5, 6)
    weight = weight.transpose(order).reshape(
        columns.outputs * channels, rows.folded_kernel, columns.folded_kernel, -1
    )
    return b.conv2d(
        _gathered(b, source, rows.group, columns.group, planes),
        b.const(weight, i(8)),
        b.const(np.tile(conv.bias, columns.outputs), accumulator_of(element_of(conv.x))),
        pad=(
            rows.folded_before,
            rows.folded_after(h, out_h),
            columns.folded_before,
            columns.folded_after(w, out_w),
        ),
        stride=(rows.folded_stride, columns.folded_stride),
        zero_points=conv.zero_points,
    )


def _gathered(b: Builder, x: ir.Value, rows: int, columns: int, planes: bool) -> ir.Value:
    """Return [N, H/rows, W/columns, …]; channels are (row, column, c), of planes (c, row, column).

    Columns are a reshape. Rows and planes are slices, each copied into its place in a concat.
    """
    if planes:
        n, c, h, w = shape_of(x)
        depth, count = columns, c
    else:
        n, h, w, c = shape_of(x)
        depth, count = columns * c, 1
    h, w = h // rows, w // columns
    x = b.reshape(x, [n, count * h, rows * w, depth])
    if count == rows == 1:
        return x
    parts = [
        copied(b, b.slice(x, [0, plane * h, row * w, 0], [n, h, w, depth]))
        for plane in range(count)
        for row in range(rows)
    ]
    return b.concat(parts, 3)
