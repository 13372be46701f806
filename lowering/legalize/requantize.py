"""A RESCALE between feature maps as a part of an operation that has RESCALE built in."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import constant_value, element_of, i, is_signless_integer, shape_of
from tosaic.lowering.legalize.forms import Rescale, defining, is_i8, is_i16, sole_reader, window_sum
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass
from tosaic.lowering.quantization.arithmetic import multiplier_and_shift


@pattern("tosa.rescale")
def requantize(op: Any, b: Builder) -> ir.Value | None:
    """RESCALE i8 to i8 or i16 is that RESCALE on the accumulator of ``1 * (x - zero_point)``."""
    rescale = Rescale.of(op)
    element = element_of(op.results[0])
    if rescale is None or not (is_i8(rescale.x) and is_signless_integer(element, 8, 16)):
        return None
    reader = sole_reader(op.results[0])
    if reader is not None and reader.name in ("tosa.table", "tosa.mul"):
        return None  # a part of that operation
    image = _as_image(b, rescale.x)
    if image is None:
        return None
    before, after = rescale.zero_points
    lone = dataclasses.replace(rescale, zero_points=(0, after))
    return b.reshape(
        lone.build(b, window_sum(b, image, [[1]], before), element), shape_of(op.results[0])
    )


@pattern("tosa.rescale")
def requantize_wide(op: Any, b: Builder) -> ir.Value | None:
    """RESCALE i16 to i8 or i16 is that RESCALE on the product with 1."""
    rescale = Rescale.of(op)
    element = element_of(op.results[0])
    if rescale is None or not (is_i16(rescale.x) and is_signless_integer(element, 8, 16)):
        return None
    one = b.const(np.ones([1] * len(shape_of(rescale.x))), i(16))
    return rescale.build(b, b.mul(rescale.x, one, element=i(32)), element)


def _as_image(b: Builder, x: ir.Value) -> ir.Value | None:
    """Return `x` as [1,H,W,C]; None where that would take a copy."""
    shape = shape_of(x)
    if len(shape) == 4 and shape[0] == 1:
        return x
    if not shape or sole_reader(x) is None:
        return None
    return b.reshape(x, [1, 1, math.prod(shape[:-1]), shape[-1]])


@pattern("tosa.rescale", benefit=2)
def scale_channels(op: Any, b: Builder) -> ir.Value | None:
    """RESCALE((x - zero_point) * c) with one constant per channel is a RESCALE per channel."""
    rescale = Rescale.of(op)
    product = None if rescale is None else defining(rescale.x, "mul")
    if rescale is None or product is None or sole_reader(rescale.x) is None:
        return None
    if not is_i8(op.results[0]) or any(rescale.zero_points[:1]) or len(rescale.multipliers) > 1:
        return None
    factors, widened = _factors_and_source(product)
    if factors is None or widened is None or not widened.is_unit or widened.zero_points[1]:
        return None
    x, channels = widened.x, shape_of(op.results[0])[-1]
    if not is_i8(x) or shape_of(x) != shape_of(op.results[0]) or len(shape_of(x)) != 4:
        return None
    if shape_of(x)[0] != 1 or factors.shape[:-1] != (1, 1, 1):
        return None
    values = np.broadcast_to(factors.reshape(-1).astype(np.float64), (channels,))
    scales = np.abs(values) * rescale.factor
    live = scales[scales > 0]
    if not live.size or live.max() >= 2**28 or live.min() < 2**-31:
        return None
    pairs = [multiplier_and_shift(s if s > 0 else 1.0) for s in scales.tolist()]
    return b.rescale(
        _signed(b, x, np.sign(values), widened.zero_points[0]),
        i(8),
        [m for m, _ in pairs],
        [s for _, s in pairs],
        zero_points=(0, rescale.zero_points[1]),
    )


def _signed(b: Builder, x: ir.Value, signs: Any, zero_point: int) -> ir.Value:
    return b.conv2d(
        x,
        b.const(signs.reshape(1, 1, -1, 1), i(8)),
        b.const(np.zeros(signs.size), i(32)),
        zero_points=(zero_point, 0),
        depthwise=True,
    )


def _factors_and_source(product: Any) -> tuple[Any, Rescale | None]:
    """Return the constant operand of a MUL (without shift), and the RESCALE of the other."""
    shift = constant_value(product.operands[2])
    if shift is None or shift.any():
        return None, None
    for constant, other in ((0, 1), (1, 0)):
        factors = constant_value(product.operands[constant])
        source = defining(product.operands[other], "rescale")
        if factors is not None and source is not None:
            return factors, Rescale.of(source)
    return None, None


@register_pass
@dataclasses.dataclass(frozen=True)
class Requantize(PatternPass):
    """Replace a RESCALE of i8, and products by a constant per channel, by a depthwise 1x1; a
    RESCALE of i16 by a product with 1.

    Vela runs a RESCALE with nothing to join as an operation of 1.5 to 2 (U55) or 1 to 1.5 (U85)
    cycles per element; the depthwise convolution takes half, the product a third or less. A lone
    RESCALE gives the same integers. In a product the constants go into a RESCALE per channel
    (weights of 1, 0 and -1), whose factors are rounded to 31 bits as the original's was: within
    1 LSB, different only next to a tie.
    """

    name: ClassVar[str] = "tosaic-requantize"
    patterns: ClassVar[tuple[Pattern, ...]] = (
        scale_channels,
        requantize,
        requantize_wide,
    )
