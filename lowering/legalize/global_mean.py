"""Average pools and spatial sums as depthwise convolutions of ones, which Ethos-U runs faster.

AVG_POOL2D reads a whole image at one to two cycles per element, and a RESCALE after it is an
operation of its own. A depthwise convolution with weights 1 sums at up to sixteen elements per
cycle and has its RESCALE built in. The channels of a global mean need not stay channels: rows of
[H,W,C] are rows of [H*W, C/16, 16], a reshape, and that is the shape such a convolution likes best.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, attr_ints, const_shape_of
from tosaic.dialects.types import element_of, i, shape_of, tensor
from tosaic.lowering.legalize.forms import (
    UNIT,
    Ints,
    Rescale,
    check_accelerator,
    defining,
    is_i8,
    scalar,
    sole_reader,
    window_sum,
)
from tosaic.lowering.passes import Pass, Pattern, apply_patterns, register_pass

_MAX_ROWS = 64  # kernel height of a convolution
_MAX_AREA = 4096
_MAX_STRIDE = 3
_FEWEST_LAST_ROWS = 4  # below, the second step has too little to do in parallel


@dataclasses.dataclass(frozen=True)
class _Windows:
    """Sums of ``x - zero_point`` over windows; `shared` where others read the same RESCALE of x."""

    x: ir.Value
    zero_point: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    shared: bool = False

    @property
    def count(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def is_global(self) -> bool:
        return list(self.kernel) == shape_of(self.x)[1:3]


@dataclasses.dataclass(frozen=True)
class _Scale:
    """The RESCALE of a sum to i8."""

    multiplier: int
    shift: int
    zero_point: int
    rounding: str = "SINGLE_ROUND"


@dataclasses.dataclass(frozen=True)
class _Form:
    """What an accelerator sums fastest: channels taken `groups` at a time (the first that divides),
    in one step only where there are `fewest_groups` of them to work on in parallel.
    """

    groups: tuple[int, ...]
    fewest_groups: int


_FORMS = {"u55": _Form((8, 16), 1), "u65": _Form((8, 16), 1), "u85": _Form((16, 8), 5)}


def lower_pool(op: Any, b: Builder, form: _Form) -> ir.Value | None:
    """A pool by itself: TOSA's own reciprocal as the factor, so equal to the bit."""
    windows, zero_point = _pool(op), scalar(op.operands[2])
    if windows is None or zero_point is None or _rescaled_pool(op) is not None:
        return None
    return _mean(b, windows, _Scale(*_reciprocal(windows.count), zero_point), form)


def lower_rescaled(op: Any, b: Builder, form: _Form) -> ir.Value | None:
    """RESCALE(REDUCE_SUM(RESCALE x)), or a pool and the RESCALEs after it."""
    rescale = Rescale.of(op)
    if rescale is None or len(rescale.multipliers) > 1 or not is_i8(op.results[0]):
        return None
    windows = _sum(rescale.x)
    if windows is not None and rescale.zero_points[0] == 0:
        scale = _Scale(
            rescale.multipliers[0],
            rescale.shifts[0],
            rescale.zero_points[1],
            rescale.rounding,
        )
        return _mean(Builder(rescale.x.owner.location, b.ip), windows, scale, form)
    source = _rescaled_from(rescale)
    pool = defining(source, "avg_pool2d")
    windows = None if pool is None else _pool(pool)
    chain = None if pool is None else _rescaled_pool(pool)
    if pool is None or windows is None or chain is None:
        return None
    factor = math.prod(r.factor for r in chain) / windows.count
    multiplier, shift = _fixed_point(factor, 31)
    scale = _Scale(multiplier, shift, rescale.zero_points[1])
    return _mean(Builder(pool.location, b.ip), windows, scale, form)


def _pool(op: Any) -> _Windows | None:
    zero_point = scalar(op.operands[1])
    if zero_point is None or not is_i8(op.operands[0]) or any(attr_ints(op, "pad")):
        return None
    kernel, stride = attr_ints(op, "kernel"), attr_ints(op, "stride")
    return _Windows(op.operands[0], zero_point, (kernel[0], kernel[1]), (stride[0], stride[1]))


def _sum(value: ir.Value) -> _Windows | None:
    """Read REDUCE_SUMs over H and W of a feature map widened by a RESCALE of one."""
    kernel, current = [1, 1], value
    while (op := defining(current, "reduce_sum")) is not None:
        axis, source = op.attributes["axis"].value, op.operands[0]
        if len(shape_of(source)) != 4 or axis not in (1, 2) or sole_reader(current) is None:
            return None
        kernel[axis - 1] *= shape_of(source)[axis]
        current = source
    widened = Rescale.of(current.owner) if defining(current, "rescale") is not None else None
    if current == value or widened is None:
        return None
    shared = sole_reader(current) is None
    if not (widened.is_unit and widened.zero_points[1] == 0 and is_i8(widened.x)):
        return None
    return _Windows(widened.x, widened.zero_points[0], (kernel[0], kernel[1]), (1, 1), shared)


def _rescaled_from(rescale: Rescale) -> ir.Value:
    """Return what a RESCALE reads, through a RESCALE to i32 before it."""
    before = defining(rescale.x, "rescale")
    widened = None if before is None else Rescale.of(before)
    return rescale.x if widened is None else widened.x


def _rescaled_pool(pool: Any) -> list[Rescale] | None:
    """Return the one or two RESCALEs by which the pool's result becomes another i8, if so."""
    zero_point, current = scalar(pool.operands[2]), pool
    chain: list[Rescale] = []
    while len(chain) < 2:
        reader = sole_reader(current.results[0])
        rescale = Rescale.of(reader)
        if reader is None or rescale is None or len(rescale.multipliers) > 1:
            return None
        if rescale.zero_points[0] != zero_point:
            return None
        chain.append(rescale)
        if is_i8(reader.results[0]):
            return chain
        zero_point, current = rescale.zero_points[1], reader
    return None


def _mean(b: Builder, windows: _Windows, scale: _Scale, form: _Form) -> ir.Value | None:
    if not windows.is_global:
        fits = windows.kernel[0] <= _MAX_ROWS and windows.count <= _MAX_AREA
        if not fits or max(windows.stride) > _MAX_STRIDE:
            return None
        ones = np.ones(windows.kernel)
        sums = window_sum(b, windows.x, ones, windows.zero_point, stride=windows.stride)
        return _rescaled(b, sums, scale)
    x, rows, columns = _uncut(windows.x)
    n, h, w, c = shape_of(x)
    group = next((g for g in form.groups if c % g == 0), None)
    if n != 1 or group is None:
        return None
    shared, cut = windows.shared or sole_reader(x) is None, x != windows.x
    if h * w <= _MAX_ROWS and not shared and c // group >= form.fewest_groups:
        pixels = b.reshape(x, [1, h * w, c // group, group])
        window = np.outer(rows, columns).reshape(-1, 1)
        total = window_sum(b, pixels, window, windows.zero_point)
        return b.reshape(_rescaled(b, total, scale), [1, 1, 1, c])
    split = (h, w) if shared or cut or h * w <= _MAX_ROWS else _two_steps(h * w)
    if split is None or max(split) > _MAX_ROWS:
        return None
    first, last = split
    weights = (rows, columns) if cut else (np.ones(first), np.ones(last))
    if not shared:  # else the reshape would be a copy of all of it
        x = b.reshape(x, [1, first, last * c // group, group])
    partial = window_sum(b, x, weights[0][:, None], windows.zero_point)
    exact = b.rescale(partial, i(16), [UNIT[0]], [UNIT[1]])  # 64 * 255 fits
    exact = b.reshape(exact, [1, last, c // group, group])
    total = window_sum(b, exact, weights[1][:, None], 0)
    return b.reshape(_rescaled(b, total, scale), [1, 1, 1, c])


def _uncut(x: ir.Value) -> tuple[ir.Value, Ints, Ints]:
    """Return the image that `x` is cut out of, and which of its rows and columns `x` has.

    Weights of zero cost less than the copy that a slice is in front of a reshape.
    """
    cut = defining(x, "slice")
    start, size = (None, None) if cut is None else map(const_shape_of, list(cut.operands)[1:3])
    source = x if cut is None or sole_reader(x) is None else cut.operands[0]
    shape = shape_of(source)
    if source == x or start is None or size is None or shape[3] != size[3] or shape[0] != 1:
        return x, *(np.ones(d, np.int64) for d in shape_of(x)[1:3])
    weights = [np.zeros(d, np.int64) for d in shape[1:3]]
    for axis in (0, 1):
        weights[axis][start[axis + 1] : start[axis + 1] + size[axis + 1]] = 1
    return source, weights[0], weights[1]


def _two_steps(rows: int) -> tuple[int, int] | None:
    """Split `rows` into two factors that a kernel can have; the first step does most."""
    for first in range(_MAX_ROWS, 1, -1):
        if rows % first == 0 and _FEWEST_LAST_ROWS <= rows // first <= _MAX_ROWS:
            return first, rows // first
    return None


def _rescaled(b: Builder, total: ir.Value, scale: _Scale) -> ir.Value:
    """Rescale a sum to i8; a sum of i16 values (i48) takes a 16-bit multiplier in TOSA."""
    if element_of(total).width == 32:
        return b.rescale(
            total,
            i(8),
            [scale.multiplier],
            [scale.shift],
            zero_points=(0, scale.zero_point),
            rounding=scale.rounding,
        )
    multiplier, shift = _fixed_point(scale.multiplier / 2**scale.shift, 15)
    return b.value(
        "tosa.rescale",
        [
            total,
            b.const(np.array([multiplier]), i(16)),
            b.const(np.array([shift]), i(8)),
            b.zero_point(i(48)),
            b.zero_point(i(8), scale.zero_point),
        ],
        tensor(shape_of(total), i(8)),
        scale32=ir.BoolAttr.get(False),
        rounding_mode=ir.Attribute.parse("#tosa.rounding_mode<SINGLE_ROUND>"),
        per_channel=ir.BoolAttr.get(False),
        input_unsigned=ir.BoolAttr.get(False),
        output_unsigned=ir.BoolAttr.get(False),
    )


def _reciprocal(count: int) -> tuple[int, int]:
    """Return TOSA's `reciprocal_scale` (1.0, section 1.9): what AVG_POOL2D multiplies by."""
    k = (count - 1).bit_length()
    return (((1 << 30) + 1) << k) // count, 30 + k


def _fixed_point(factor: float, bits: int) -> tuple[int, int]:
    mantissa, exponent = math.frexp(factor)
    multiplier = round(mantissa * 2**bits)
    if multiplier == 2**bits:
        multiplier, exponent = multiplier // 2, exponent + 1
    return multiplier, bits - exponent


@register_pass
@dataclasses.dataclass(frozen=True)
class LowerGlobalMean(Pass):
    """Compute unpadded average pools and sums over H and W as depthwise convolutions of ones.

    Up to 64 pixels, and every pool that is not global, take one step: equal to the bit to
    AVG_POOL2D and to RESCALE(REDUCE_SUM), and nearer to the mean than AVG_POOL2D with RESCALE
    after it, which round twice. Larger global means take two steps with exact 16-bit sums between
    them and round once, with a 16-bit multiplier: within 1 LSB, different only next to a tie. So do
    few channels on u85, and inputs with other readers, whose columns are summed in place since a
    reshape would copy them. A slice in front becomes weights of zero.
    """

    name: ClassVar[str] = "tosaic-lower-global-mean"
    accelerator: str = "u55"

    def run(self, module: ir.Operation) -> None:
        """Rewrite pools and sums in the form of the accelerator."""
        check_accelerator(self.accelerator)
        form = _FORMS[self.accelerator]
        patterns = [
            Pattern("tosa.avg_pool2d", functools.partial(lower_pool, form=form)),
            Pattern("tosa.rescale", functools.partial(lower_rescaled, form=form)),
        ]
        apply_patterns(module, patterns, greedy=True)
