"""Float islands between quant casts become integer TOSA with RESCALE."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, attr_ints
from tosaic.dialects.types import (
    QuantParams,
    constant_value,
    element_of,
    i,
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
    dequantized_source,
    int32_constant,
    requantized,
    widened,
    with_params,
)
from tosaic.lowering.quantization.fixed_point import lookup
from tosaic.lowering.quantization.fold_table import wide_table_of
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
    """Convolutions: int32 accumulator in units of input scale x weight scale per channel."""
    depthwise = op.name == "tosa.depthwise_conv2d"
    source = dequantized_source(op.operands[0])
    weights = weights_of(op.operands[1], (2, 3) if depthwise else (0,))
    bias = bias_of(op.operands[2])
    if source is None or weights is None or bias is None:
        return None
    x, params = source
    units = params.scale * weights.scales
    stored_bias = int32_constant(np.broadcast_to(bias, units.shape) / units)
    operands = (
        b.storage(x),
        b.const(weights.stored, i(8)),
        b.const(stored_bias, i(32)),
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
    accumulator = b.matmul(
        b.storage(left[0]),
        b.storage(right[0]),
        zero_points=(left[1].zero_point, right[1].zero_point),
    )
    return requantized(b, accumulator, left[1].scale * right[1].scale, out)


# The larger operand is shifted left by this: 9-bit differences, shifted and summed, stay below
# 2**30. Ethos-U's adder has the same shift built in, so Vela fuses exactly this form.
_SUM_SHIFT = 19


@island("tosa.add", "tosa.sub", "tosa.maximum", "tosa.minimum")
def same_unit(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """Ops whose operands must have one unit: both are rescaled to a common one in int32.

    Equal scales need no shift; a maximum or minimum of equal parameters needs no rescale at all.
    """
    sources = [dequantized_source(v) for v in op.operands]
    known = [s for s in sources if s is not None]
    constants = [
        constant_value(v) if s is None else None for v, s in zip(op.operands, sources, strict=True)
    ]
    if not known or len(known) + sum(c is not None for c in constants) < 2:
        return None
    selects = op.name in ("tosa.maximum", "tosa.minimum")
    if selects and all(s is not None and s[1] == out for s in sources):
        left, right = (b.storage(x) for x, _ in known)
        return b.scast(b.binary(op.name, left, right), out.type())
    scales = {params.scale for _, params in known}
    unit = max(scales)
    if len(scales) > 1 or len(known) == 1:
        unit /= 2**_SUM_SHIFT
    bounds = [float(np.abs(c).max()) for c in constants if c is not None and c.size]
    unit = max([unit, *(bound / 2**29 for bound in bounds)])
    operands = []
    for source, constant in zip(sources, constants, strict=True):
        if source is not None:
            operands.append(widened(b, *source, unit))
        elif constant is not None:
            operands.append(b.const(int32_constant(constant.astype(np.float64) / unit), i(32)))
    return requantized(b, b.binary(op.name, *operands), unit, out)


# Constants in products keep 15 bits: 9 (activation) + 15 + sign stays inside int32.
_FACTOR_LIMIT = 2**15 - 1


@island("tosa.mul")
def product(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """Elementwise products in int32."""
    values = list(op.operands)[:2]
    sources = [dequantized_source(v) for v in values]
    constants = [
        constant_value(v) if s is None else None for v, s in zip(values, sources, strict=True)
    ]
    looked_up = [
        wide_table_of(v) if s is None and c is None else None
        for v, s, c in zip(values, sources, constants, strict=True)
    ]
    operands, unit = [], 1.0
    found = list(zip(sources, constants, looked_up, strict=True))
    if any(all(way is None for way in ways) for ways in found):
        return None
    for source, constant, table in found:
        if table is not None:
            x, entries = table
            scale = max(float(np.abs(entries).max()), 1e-30) / _FACTOR_LIMIT
            operands.append(lookup(b, b.storage(x), entries / scale, 15))
            unit *= scale
        elif source is not None:
            operands.append(widened(b, *source, source[1].scale))
            unit *= source[1].scale
        elif constant is not None:
            scale = max(float(np.abs(constant).max()), 1e-30) / _FACTOR_LIMIT
            operands.append(b.const(int32_constant(constant.astype(np.float64) / scale), i(32)))
            unit *= scale
    return requantized(b, b.mul(*operands), unit, out)


@island("tosa.avg_pool2d")
def average(op: Any, b: Builder, out: QuantParams) -> ir.Value | None:
    """Average pools: as they are where the output has the input's parameters.

    To other parameters the mean must not be rounded twice: the sum is a depthwise convolution by
    ones, and one rescale divides it. Padded windows have varying counts and stay average pools.
    """
    source = dequantized_source(op.operands[0])
    if source is None:
        return None
    x, params = source
    kernel, stride, pad = (attr_ints(op, name) for name in ("kernel", "stride", "pad"))
    stored, zero_point = b.storage(x), params.zero_point
    if params == out or any(pad):
        zero_points = (zero_point, zero_point)
        pooled = b.avg_pool2d(stored, kernel, stride, pad, zero_points=zero_points)
        return b.qcast(b.dcast(b.scast(pooled, params.type())), out.type())
    channels = shape_of(x)[3]
    total = b.conv2d(
        stored,
        b.const(np.ones([*kernel, channels, 1]), i(8)),
        b.const(np.zeros(channels), i(32)),
        stride=stride,
        zero_points=(zero_point, 0),
        depthwise=True,
    )
    return requantized(b, total, params.scale / (kernel[0] * kernel[1]), out)


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
    total = widened(b, x, params, params.scale)
    for axis in reversed(axes):
        total = b.reduce("tosa.reduce_sum", total, axis)
    return requantized(b, total, params.scale, out)


@register_pass
@dataclasses.dataclass(frozen=True)
class FoldQdq(Pass):
    """Compute each ``qcast(op(dcast …))`` in integers, with `tosa.rescale` to the output scale.

    Convolutions and matrix products take int8 operands with zero points into an int32 accumulator;
    sums, products and reductions widen to int32 first. Biases become int32 in units of input scale
    times weight scale; float weights that no recipe quantised become int8 per channel. Run
    tosaic-propagate-casts before, so that only computing ops are left between the casts.
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
