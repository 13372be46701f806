"""Float islands between quant casts become integer TOSA with RESCALE."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, accumulator_of, attr_ints
from tosaic.dialects.types import (
    DYNAMIC,
    QuantParams,
    constant_value,
    element_of,
    i,
    is_float,
    quant_params,
    shape_of,
)
from tosaic.errors import CompileError
from tosaic.lowering.ops import Refusal
from tosaic.lowering.passes import (
    Pass,
    Pattern,
    apply_patterns,
    error_at,
    register_pass,
)
from tosaic.lowering.quantization.arithmetic import (
    VALUE_BITS,
    as_int16,
    dequantized_source,
    int32_constant,
    integers,
    requantized,
    rescaled,
    sum_unit,
    widened,
    with_params,
)
from tosaic.lowering.quantization.fold_table import lookup_of
from tosaic.lowering.quantization.weights import bias_of, weights_of

Island = Callable[[Any, Builder, QuantParams], "ir.Value | None"]
_ISLANDS: dict[str, Island] = {}


def island(*names: str) -> Callable[[Island], Island]:
    """Register how ``qcast(op(dcast …))`` is computed in integers; None where it is no island."""

    def enter(fn: Island) -> Island:
        for name in names:
            _ISLANDS[name] = fn
        return fn

    return enter


@island("tosa.conv2d", "tosa.depthwise_conv2d", "tosa.transpose_conv2d")
def weighted(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """Convolutions: an accumulator in units of input scale x weight scale per channel."""
    depthwise = op.name == "tosa.depthwise_conv2d"
    source = dequantized_source(op.operands[0])
    weights = weights_of(op.operands[1], (2, 3) if depthwise else (0,))
    bias = bias_of(op.operands[2])
    if source is None or weights is None or bias is None:
        return None
    x, params = source
    units = params.scale * weights.scales
    accumulator_type = accumulator_of(i(params.bits))
    stored_bias = integers(np.broadcast_to(bias, units.shape) / units, accumulator_type.width)
    operands = (
        b.storage(x),
        b.const(weights.stored, i(8)),
        b.const(stored_bias, accumulator_type),
    )
    zero_points = (params.zero_point, weights.zero_point)
    if op.name == "tosa.transpose_conv2d":
        accumulator = b.transpose_conv2d(
            *operands,
            out_pad=attr_ints(op, "out_pad"),
            stride=attr_ints(op, "stride"),
            zero_points=zero_points,
        )
    else:
        accumulator = b.conv2d(
            *operands,
            pad=attr_ints(op, "pad"),
            stride=attr_ints(op, "stride"),
            dilation=attr_ints(op, "dilation"),
            zero_points=zero_points,
            depthwise=depthwise,
        )
    return requantized(b, accumulator, [float(u) for u in units], out)


@island("tosa.matmul")
def matmul(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """Products of two activations."""
    left, right = (dequantized_source(v) for v in list(op.operands)[:2])
    if left is None or right is None:
        return None
    if left[1].bits != right[1].bits:
        left, right = (as_int16(b, *source) for source in (left, right))
    accumulator = b.matmul(
        b.storage(left[0]),
        b.storage(right[0]),
        zero_points=(left[1].zero_point, right[1].zero_point),
    )
    return requantized(b, accumulator, left[1].scale * right[1].scale, out)


# Constants in products keep 15 bits: 9 (activation) + 15 + sign stays inside int32.
_FACTOR_LIMIT = 2**15 - 1

# The larger operand is shifted left by this: 9-bit differences (or 16-bit values, which have no
# zero point), shifted and summed, stay within 2**30. Ethos-U's adder has the shift of 8 bits built
# in, so Vela fuses exactly this form.
_SUM_SHIFT = {8: 19, 16: 14}


@island("tosa.add", "tosa.sub", "tosa.maximum", "tosa.minimum")
def same_unit(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """Ops whose operands must have one unit: both are rescaled to a common one in int32.

    Equal scales need no shift.
    """
    sources = [dequantized_source(v) for v in op.operands]
    constants = [
        constant_value(v) if s is None else None for v, s in zip(op.operands, sources, strict=True)
    ]
    for n, m in ((0, 1), (1, 0)):
        x, constant = sources[n], constants[m]
        if x is not None and constant is not None:
            sources[m] = _as_steps(b, constant, x[1], out)
    known = [s for s in sources if s is not None]
    if not known or len(known) + sum(c is not None for c in constants) < 2:
        return None
    largest = max((p for _, p in known), key=lambda p: p.scale * 2 ** VALUE_BITS[p.bits])
    unit = largest.scale
    if len(known) == 1 or any(params.scale != unit for _, params in known):
        unit /= 2 ** _SUM_SHIFT[largest.bits]
    if len(known) == 1:
        unit = max(unit, *(_largest(c) / 2**29 for c in constants if c is not None))
    operands = []
    for source, constant in zip(sources, constants, strict=True):
        if source is not None:
            operands.append(widened(b, *source, unit))
        elif constant is not None:
            # Infinities (of a mask) become large enough to leave the range of the result.
            limited = np.clip(constant.astype(np.float64) / unit, -(2.0**29), 2.0**29)
            operands.append(b.const(int32_constant(limited), i(32)))
    return requantized(b, b.binary(op.name, *operands), unit, out)


def _as_steps(
    b: Builder, constant: npt.NDArray[Any], params: QuantParams, out: QuantParams
) -> tuple[ir.Value, QuantParams] | None:
    """Return a constant as a quantised tensor like the other operand, where that is exact enough.

    Ethos-U adds two of int16 in one operation; with an operand of int32 it takes four.
    """
    largest = float(np.abs(constant).max())
    if params.bits != 16 or not 0 < largest < math.inf:
        return None
    scale = params.scale
    steps = constant.astype(np.float64) / scale
    if (steps != np.rint(steps)).any() or np.abs(steps).max() > _FACTOR_LIMIT:
        scale = largest / _FACTOR_LIMIT
        steps = constant.astype(np.float64) / scale
        if np.abs(steps - np.rint(steps)).max() * scale > out.scale / 4:
            return None
    own = dataclasses.replace(params, scales=(scale,))
    return b.const(np.rint(steps), own.type()), own


def _largest(values: npt.NDArray[Any]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if finite.size else 0.0


@island("tosa.select")
def choice(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """A choice between tensors: both get the result's parameters first."""
    values = list(op.operands)[1:]
    if any(dequantized_source(v) is None and constant_value(v) is None for v in values):
        return None  # before anything is built: what stays unused would be found anew, for ever
    chosen = []
    for value in values:
        source, constant = dequantized_source(value), constant_value(value)
        if source is not None:
            chosen.append(b.storage(with_params(b, *source, out)))
        elif constant is not None:
            chosen.append(b.const(out.quantize(constant), i(out.bits)))
    return b.scast(b.select(op.operands[0], *chosen), out.type())


@island("tosa.cast")
def counted(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """Integers and truth values become quantised ones of the same value."""
    x = op.operands[0]
    if is_float(element_of(x)):
        return None
    return requantized(b, b.cast(x, i(32)), 1.0, out)


@island("tosa.mul")
def product(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """Elementwise products in int32; 16-bit operands, which have no zero point, as they are."""
    values = list(op.operands)[:2]
    sources = [dequantized_source(v) for v in values]
    constants = [
        constant_value(v) if s is None else None for v, s in zip(values, sources, strict=True)
    ]
    looked_up = [
        lookup_of(v) if s is None and c is None else None
        for v, s, c in zip(values, sources, constants, strict=True)
    ]
    found = list(zip(sources, constants, looked_up, strict=True))
    if any(all(way is None for way in ways) for ways in found):
        return None
    narrow = not any(looked_up) and all(s is None or s[1].bits == 16 for s in sources)
    operands, unit = [], 1.0
    for source, constant, table in found:
        if table is not None:
            factor, scale = table.factors(b, _FACTOR_LIMIT)
        elif source is not None:
            x, params = source
            scale = params.scale
            factor = b.storage(x) if narrow else widened(b, x, params, scale)
        elif constant is not None:
            scale = max(float(np.abs(constant).max()), 1e-30) / _FACTOR_LIMIT
            steps = int32_constant(constant.astype(np.float64) / scale)
            factor = b.const(steps, i(16 if narrow else 32))
        operands.append(factor)
        unit *= scale
    return requantized(b, b.mul(*operands, element=i(32)), unit, out)


@island("tosa.avg_pool2d")
def average(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """Average pools: as they are where the output has the input's parameters.

    To other parameters the mean must not be rounded twice, so the windows are summed and one
    rescale divides: by REDUCE_SUM over a whole image, else by a depthwise convolution of ones.
    """
    source = dequantized_source(op.operands[0])
    if source is None:
        return None
    x, params = source
    kernel, stride, pad = (attr_ints(op, name) for name in ("kernel", "stride", "pad"))
    _, height, width, channels = shape_of(x)
    if any(pad) and DYNAMIC in (height, width):
        raise Refusal("a padded average pool needs static sizes; specialise the shapes")
    stored, zero_point = b.storage(x), params.zero_point
    if params == out:
        zero_points = (zero_point, zero_point)
        pooled = b.avg_pool2d(stored, kernel, stride, pad, zero_points=zero_points)
        return b.scast(pooled, out.type())
    if list(kernel) == [height, width] and not any(pad):
        total = widened(b, x, params, params.scale)
        for axis in (1, 2):
            total = b.reduce("tosa.reduce_sum", total, axis)
        return requantized(b, total, params.scale / (height * width), out)
    total = b.conv2d(
        stored,
        b.const(np.ones([*kernel, channels, 1]), i(8)),
        b.const(np.zeros(channels), accumulator_of(i(params.bits))),
        pad=pad,
        stride=stride,
        zero_points=(zero_point, 0),
        depthwise=True,
    )
    if not any(pad):
        return requantized(b, total, params.scale / (kernel[0] * kernel[1]), out)
    # A window over the edge holds fewer values. No sum exceeds its count times 2**bits.
    counts = _window_counts((height, width), kernel, stride, pad)
    total = rescaled(b, total, 1.0, i(32)) if params.bits == 16 else total
    limit = 2 ** (31 - params.bits)
    shares = int32_constant(limit / counts).reshape(1, *counts.shape, 1)
    return requantized(b, b.mul(total, b.const(shares, i(32))), params.scale / limit, out)


def _window_counts(
    size: tuple[int, int], kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Return how many values each window of a pool holds, its padding left out, as [OH,OW]."""
    along = []
    for axis in (0, 1):
        before, after = pad[2 * axis], pad[2 * axis + 1]
        inside = np.pad(np.ones(size[axis], np.int64), (before, after))
        windows = np.lib.stride_tricks.sliding_window_view(inside, kernel[axis])
        along.append(windows[:: stride[axis]].sum(1))
    return np.outer(*along)


@island("quant.dcast")
def requantize(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """qcast(dcast(x)): x itself, or one rescale where the parameters differ."""
    source = dequantized_source(op.results[0])
    return None if source is None else with_params(b, *source, out)


@island("tosa.reduce_sum")
def summed(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """Sums (a mean is a sum whose factor went into the scale) in int32, over any axes."""
    axes, value = [], op.results[0]
    while not isinstance(value.owner, ir.Block) and value.owner.name == "tosa.reduce_sum":
        axes.append(value.owner.attributes["axis"].value)
        value = value.owner.operands[0]
    source = dequantized_source(value)
    if source is None:
        return None
    x, params = source
    unit = sum_unit(params, math.prod(shape_of(x)[axis] for axis in axes))
    total = widened(b, x, params, unit)
    for axis in reversed(axes):
        total = b.reduce("tosa.reduce_sum", total, axis)
    return requantized(b, total, unit, out)


@register_pass
@dataclasses.dataclass(frozen=True)
class FoldQdq(Pass):
    """Compute each ``qcast(op(dcast …))`` in integers, with `tosa.rescale` to the output scale.

    Convolutions and matrix products take int8 operands with zero points into an int32 accumulator,
    int16 ones into int48, whose rescale has a 15-bit multiplier; sums, products and reductions
    widen to int32. Biases have the accumulator's type, in units of input scale times weight scale;
    float weights that no recipe quantised become int8 per channel. Run tosaic-propagate-casts
    before, so that only computing ops are left between the casts.
    """

    name: ClassVar[str] = "tosaic-fold-qdq"

    def run(self, module: ir.Operation) -> None:
        """Fold every island, then report those whose parameters TOSA cannot express."""
        refused: dict[str, Any] = {}

        def rewrite(op: Any, b: Builder) -> ir.Value | None:
            producer = op.operands[0].owner
            out = quant_params(element_of(op.results[0]))
            if isinstance(producer, ir.Block) or out is None or out.per_axis:
                return None
            fold = _ISLANDS.get(producer.name)
            # Refused once is refused for good: trying again would keep the driver from ending.
            if fold is None or str(op.location) in refused:
                return None
            try:
                return fold(producer, Builder(producer.location, b.ip), out)
            except Refusal as refusal:
                refused[str(op.location)] = error_at(producer, str(refusal))
                return None

        apply_patterns(module, [Pattern("quant.qcast", rewrite)], greedy=True)
        if refused:
            raise CompileError("Quantised ops cannot be expressed in TOSA.", list(refused.values()))
