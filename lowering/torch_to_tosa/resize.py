"""Interpolation: nearest and linear as RESIZE, cubic and odd ratios as products by constants.

Along one dim, output o reads the input at ``(o * step + offset) / unit``, all integers, as TOSA's
RESIZE has it (TOSA 1.0, section "RESIZE"). How PyTorch places the samples: Keys 1981 for cubic,
`area_pixel_compute_source_index` in ATen's UpSample.h for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import NCHW, NHWC, Builder, accumulator_of
from tosaic.dialects.types import (
    DYNAMIC,
    QuantParams,
    element_of,
    f32,
    i,
    is_float,
    is_signless_integer,
    shape_of,
    tensor,
)
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.quantization.arithmetic import requantized, with_params
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.indexing import take_along
from tosaic.lowering.torch_to_tosa.linear import product
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import restored

# TOSA 1.0, RESIZE: the largest scale numerator, and by how much it may shrink.
_MAX_UNIT, _MAX_SHRINK = 1 << 11, 16
# PyTorch's coefficients of the cubic kernel; with antialias as Pillow has it.
_CUBIC, _CUBIC_FILTER = -0.75, -0.5

# (an NHWC value, its two axes) -> the value resized.
Step = Callable[[ir.Value, Sequence["Axis"]], ir.Value]


@dataclass(frozen=True)
class Axis:
    """How `out` samples read a dim of `size`: sample o at ``(o * step + offset) / unit``."""

    size: int
    out: int
    unit: int
    step: int
    offset: int

    @property
    def border(self) -> int:
        """What RESIZE calls the border: where the last sample ends."""
        return (self.out - 1) * self.step - (self.size - 1) * self.unit + self.offset

    @property
    def fits(self) -> bool:
        """Whether RESIZE can express it."""
        return (
            self.unit <= _MAX_UNIT
            and self.step < _MAX_SHRINK * self.unit
            and -self.unit <= self.offset < _MAX_SHRINK * self.unit
            and -_MAX_SHRINK * self.unit <= self.border < self.unit
        )

    def position(self, o: int) -> Fraction:
        """Return where output `o` reads."""
        return Fraction(o * self.step + self.offset, self.unit)


def _axis(
    size: int, out: int, factor: float | None, kind: str, *, corners: bool, copies: bool
) -> Axis:
    """Return the sampling of one dim; `factor` is the scale the user gave, if one was.

    Where sizes are equal in spite of a factor, some kernels of PyTorch copy.
    """
    if size == out and (factor is None or copies):
        return Axis(size, out, 1, 1, 0)
    if corners:
        ratio = Fraction(size - 1, max(out - 1, 1))
    elif factor is None or math.floor(size * factor) == size * factor == out:
        ratio = Fraction(size, out)
    else:
        ratio = 1 / Fraction(factor).limit_denominator(1000)
    a, c = ratio.numerator, ratio.denominator
    if corners:
        unit, step, offset = c, a, 0
    elif kind == "nearest":
        # floor(o * a / c); RESIZE rounds to nearest, so half a unit is taken off.
        unit, step, offset = 2 * c, 2 * a, -c
        if a == 1:
            offset = a - c  # the same rows as nearest-exact, which Ethos-U upscales natively
    else:
        unit, step, offset = 2 * c, 2 * a, a - c
    if out == 1:
        step = max(step, 1)
    common = math.gcd(unit, step, offset)
    return Axis(size, out, unit // common, max(step // common, 1), offset // common)


def _kind(name: str) -> str:
    if "nearest_exact" in name:
        return "exact"
    return next(kind for kind in ("nearest", "cubic", "linear") if kind in name)


def _axes(ctx: Lowering) -> list[Axis]:
    """Return one `Axis` per spatial dim from the operands of any `upsample_*` op."""
    name = aten_name(ctx)
    kind, vec = _kind(name), name.endswith(".vec")
    sizes, outs = shape_of(ctx.tensor(0))[2:], ctx.out_shape()[2:]
    if DYNAMIC in sizes + outs:
        raise Refusal("it resizes a dynamic dim; specialise the shapes")
    flagged = kind in ("linear", "cubic")
    corners = flagged and ctx.flag(2)
    first = 3 if flagged else 2
    factors: list[float | None] = [None] * len(sizes)
    if vec:
        if not ctx.is_none(first):
            factors = list(_reals(ctx, first))
    else:
        factors = [
            None if ctx.is_none(first + n) else ctx.real(first + n) for n in range(len(sizes))
        ]
    copies = kind == "linear" or "_aa" in name or (kind == "nearest" and len(sizes) == 2)
    return [
        _axis(size, out, factor, kind, corners=corners, copies=copies)
        for size, out, factor in zip(sizes, outs, factors, strict=True)
    ]


def _reals(ctx: Lowering, index: int) -> list[float]:
    owner = ctx.op.operands[index].owner
    if isinstance(owner, ir.Block) or owner.name != "torch.prim.ListConstruct":
        raise Refusal("its scale factors are not known when compiling")
    values = [v.owner for v in owner.operands]
    if any(isinstance(v, ir.Block) or v.name != "torch.constant.float" for v in values):
        raise Refusal("its scale factors are not known when compiling")
    return [float(v.attributes["value"].value) for v in values]


def resize2d(b: Builder, x: ir.Value, axes: Sequence[Axis], *, nearest: bool) -> ir.Value:
    """Return RESIZE of [N,H,W,C] by two axes.

    An integer bilinear result is i32 (i48 for i16), times both units.
    """
    n, _, _, c = shape_of(x)
    element = element_of(x)
    if not nearest and not is_float(element):
        element = accumulator_of(element)
    vertical, horizontal = axes
    mode = "NEAREST_NEIGHBOR" if nearest else "BILINEAR"
    return b.value(
        "tosa.resize",
        [
            x,
            b.const_shape([vertical.unit, vertical.step, horizontal.unit, horizontal.step]),
            b.const_shape([vertical.offset, horizontal.offset]),
            b.const_shape([vertical.border, horizontal.border]),
        ],
        tensor([n, vertical.out, horizontal.out, c], element),
        mode=ir.Attribute.parse(f"#tosa.resize_mode<{mode}>"),
    )


def _weights(axis: Axis, kind: str) -> npt.NDArray[np.float64]:
    """Return the [out, size] matrix of an axis."""
    matrix = np.zeros((axis.out, axis.size))
    for o in range(axis.out):
        for tap, weight in _taps(axis.position(o), kind).items():
            matrix[o, min(max(tap, 0), axis.size - 1)] += weight
    return matrix


def _taps(where: Fraction, kind: str) -> dict[int, float]:
    """Return what is read at `where`, by index; those outside are read at the border."""
    if kind in ("nearest", "exact"):
        return {math.floor(where + Fraction(1, 2)): 1.0}
    if kind == "linear":
        where = max(where, Fraction(0))
        low = math.floor(where)
        return {low: float(1 - (where - low)), low + 1: float(where - low)}
    low = math.floor(where)
    return {low + k: cubic(abs(float(where - low - k)), _CUBIC) for k in (-1, 0, 1, 2)}


def cubic(distance: float, a: float) -> float:
    """Return the kernel of Keys, 1981, with coefficient `a`."""
    x = distance
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0


def _filtered(axis: Axis, kind: str, *, corners: bool) -> npt.NDArray[np.float64]:
    """Return the [out, size] matrix of an axis that is filtered before it is sampled.

    The kernel is stretched by the ratio of the sizes, and its weights are scaled to add up to 1.
    """
    ratio = 0.0 if corners and axis.out == 1 else axis.step / axis.unit
    stretch = max(ratio, 1.0)
    reach = (2 if kind == "cubic" else 1) * stretch
    matrix = np.zeros((axis.out, axis.size))
    for o in range(axis.out):
        centre = ratio * (o + 0.5)
        low, high = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), axis.size)
        distances = [abs(tap - centre + 0.5) / stretch for tap in range(low, high)]
        if kind == "cubic":
            weights = np.array([cubic(d, _CUBIC_FILTER) for d in distances])
        else:
            weights = np.array([max(0.0, 1 - d) for d in distances])
        matrix[o, low:high] = weights / weights.sum()
    return matrix


def along(b: Builder, x: ir.Value, axis: int, matrix: npt.NDArray[np.float64]) -> ir.Value:
    """Return `x` multiplied along dim `axis` by a constant [out, in] matrix."""
    perms = [*(n for n in range(len(shape_of(x))) if n != axis), axis]
    moved = product(b, b.transpose(x, perms), b.const(matrix, element_of(x)), None)
    return restored(b, moved, perms)


def _float_resize(ctx: Lowering) -> ir.Value:
    b, x, kind, axes = ctx.b, ctx.tensor(0), _kind(aten_name(ctx)), _axes(ctx)
    element = element_of(x)
    if kind in ("nearest", "exact") and not _is_native(element):
        return _picked(b, x, axes)
    if not is_float(element):
        return _of_bytes(b, x, [_weights(axis, kind) for axis in axes])
    if kind != "cubic" and all(axis.fits for axis in axes):
        return _in_pairs(b, x, axes, lambda y, two: resize2d(b, y, two, nearest=kind != "linear"))
    return _by_matrices(b, x, [_weights(axis, kind) for axis in axes])


def _by_matrices(b: Builder, x: ir.Value, matrices: Sequence[npt.NDArray[np.float64]]) -> ir.Value:
    """Return [N,C,spatial…] multiplied along each spatial dim."""
    for n, matrix in enumerate(matrices):
        if matrix.shape[0] != matrix.shape[1] or (matrix != np.eye(len(matrix))).any():
            x = along(b, x, n + 2, matrix)
    return x


def _is_native(element: ir.Type) -> bool:
    """Return whether RESIZE takes `element`."""
    return is_float(element) or is_signless_integer(element, 8, 16)


def _picked(b: Builder, x: ir.Value, axes: list[Axis]) -> ir.Value:
    """Return the nearest elements, of any type."""
    for n, axis in enumerate(axes):
        places = _weights(axis, "nearest").argmax(1)
        if not np.array_equal(places, np.arange(axis.size)):
            x = take_along(b, x, n + 2, b.const(places, i(32)))
    return x


def _of_bytes(b: Builder, x: ir.Value, matrices: Sequence[npt.NDArray[np.float64]]) -> ir.Value:
    """Return uint8 values, given as i32, resized as PyTorch does it: rounded after every dim."""
    for n, matrix in reversed(list(enumerate(matrices))):
        moved = along(b, b.cast(x, f32()), n + 2, _in_16_bits(matrix))
        rounded = (Term(b, moved) + 0.5).apply("floor").clamp(0, 255)
        x = b.cast(rounded.value, i(32))
    return x


def _in_16_bits(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return weights rounded as PyTorch does it for uint8: to 16 bits, as fine as they allow."""
    bits = next(n for n in range(23) if n == 22 or int(0.5 + matrix.max() * 2 ** (n + 1)) >= 2**15)
    scaled = matrix * 2.0**bits
    return np.asarray(np.trunc(scaled + np.copysign(0.5, scaled)) * 2.0**-bits)


def _in_pairs(b: Builder, x: ir.Value, axes: list[Axis], step: Step) -> ir.Value:
    """Apply the 2-D `step(x, axes)` to [N,C,spatial…]: 1-D with a row of one, 3-D twice."""
    n, c, *sizes = shape_of(x)
    outs = [axis.out for axis in axes]
    if len(axes) == 2:
        return b.transpose(step(b.transpose(x, NHWC), axes), NCHW)
    if len(axes) == 1:
        row = b.transpose(b.reshape(x, [n, c, 1, *sizes]), NHWC)
        y = b.transpose(step(row, [Axis(1, 1, 1, 1, 0), axes[0]]), NCHW)
        return b.reshape(y, [n, c, *outs])
    planes = b.reshape(b.transpose(x, (0, 2, 3, 4, 1)), [n * sizes[0], *sizes[1:], c])
    y = step(planes, axes[1:])
    area = outs[1] * outs[2]
    y = step(
        b.reshape(y, [n, sizes[0], area, c]),
        [axes[0], Axis(area, area, 1, 1, 0)],
    )
    return b.transpose(b.reshape(y, [n, *outs, c]), (0, 4, 1, 2, 3))


def _integer_resize(ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams) -> ir.Value:
    b, kind, axes = ctx.b, _kind(aten_name(ctx)), _axes(ctx)
    if kind == "cubic":
        raise Refusal("bicubic interpolation cannot be quantised; use bilinear or keep it in float")
    if not all(axis.fits for axis in axes):
        raise Refusal(
            "its scale factor is no ratio of small integers, which TOSA's RESIZE demands; give a "
            "size, or a factor such as 2 or 1.5"
        )
    if kind != "linear":
        y = _in_pairs(b, b.storage(x), axes, lambda v, two: resize2d(b, v, two, nearest=True))
        return with_params(b, b.scast(y, params.type()), params, out)

    def linear(value: ir.Value, two: Sequence[Axis]) -> ir.Value:
        # RESIZE has no zero point, but its weights add up to `unit`.
        wide = resize2d(b, value, two, nearest=False)
        unit = two[0].unit * two[1].unit
        if params.zero_point:
            wide = b.sub(wide, b.const(np.full([1, 1, 1, 1], params.zero_point * unit), i(32)))
        return b.storage(requantized(b, wide, params.scale / unit, out if last(two) else params))

    def last(two: Sequence[Axis]) -> bool:
        return len(axes) < 3 or two[0] is axes[0]

    return b.scast(_in_pairs(b, b.storage(x), axes, linear), out.type())


def _names(kind: str) -> list[str]:
    return [f"torch.aten.{kind}", f"torch.aten.{kind}.vec"]


@lowers(
    *(name for n in (1, 2, 3) for name in _names(f"upsample_nearest{n}d")),
    *(name for n in (1, 2, 3) for name in _names(f"_upsample_nearest_exact{n}d")),
    quantized=Quantized.SHARED,
    integer=_integer_resize,
    integer_bits=(8, 16),
)
def upsample_nearest(ctx: Lowering) -> ir.Value:
    """`upsample_nearest(x, size, scales…)`; .vec: `(x, size?, scale_factors?)`."""
    return _float_resize(ctx)


@lowers(
    *_names("upsample_linear1d"),
    *_names("upsample_bilinear2d"),
    *_names("upsample_trilinear3d"),
    quantized=Quantized.SHARED,
    integer=_integer_resize,
    integer_bits=(8, 16),
    precise=True,
)
def upsample_linear(ctx: Lowering) -> ir.Value:
    """`upsample_linear(x, size, align_corners, scales…)`; .vec: `(x, size?, align, factors?)`."""
    return _float_resize(ctx)


@lowers(*_names("upsample_bicubic2d"), precise=True)
def upsample_cubic(ctx: Lowering) -> ir.Value:
    """`upsample_bicubic2d(x, size, align_corners, scales…)`."""
    return _float_resize(ctx)


@lowers(*_names("_upsample_bilinear2d_aa"), *_names("_upsample_bicubic2d_aa"), precise=True)
def upsample_antialias(ctx: Lowering) -> ir.Value:
    """`_upsample_bilinear2d_aa(x, size, align_corners, scales…)`: a filter as wide as a step."""
    kind, corners, x = _kind(aten_name(ctx)), ctx.flag(2), ctx.tensor(0)
    matrices = [_filtered(axis, kind, corners=corners) for axis in _axes(ctx)]
    resize = _by_matrices if is_float(element_of(x)) else _of_bytes
    return resize(ctx.b, x, matrices)
