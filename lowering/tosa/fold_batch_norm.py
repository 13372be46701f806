"""Per-channel affine ops (what batch norm is at inference) fold into the convolution before."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, attr_ints
from tosaic.dialects.types import (
    QuantParams,
    constant_value,
    element_of,
    i,
    is_float,
    shape_of,
)
from tosaic.lowering.ops import Refusal
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass
from tosaic.lowering.quantization.weights import bias_of, weights_of


@pattern("tosa.depthwise_conv2d")
def fold_into_producer(op: Any, b: Builder) -> ir.Value | None:
    """depthwise 1x1 (conv(x, w, b), g, h) becomes conv(x, w*g, b*g + h)."""
    factor, offset = constant_value(op.operands[1]), constant_value(op.operands[2])
    conv = op.operands[0].owner
    if factor is None or offset is None or list(factor.shape[:2]) != [1, 1] or factor.shape[3] != 1:
        return None
    if isinstance(conv, ir.Block) or not is_float(element_of(op.results[0])):
        return None
    if conv.name not in ("tosa.conv2d", "tosa.depthwise_conv2d"):
        return None
    if len(list(op.operands[0].uses)) != 1 or any(attr_ints(op, "pad")):
        return None
    if attr_ints(op, "stride") != [1, 1]:
        return None
    depthwise = conv.name == "tosa.depthwise_conv2d"
    bias = bias_of(conv.operands[2])
    gain = factor.astype(np.float64).reshape(-1)
    weight = _scaled_weight(conv.operands[1], gain, b, depthwise)
    if bias is None or weight is None:
        return None
    at_both = Builder(ir.Location.fused([conv.location, op.location]), b.ip)
    return at_both.conv2d(
        conv.operands[0],
        weight,
        at_both.const(bias * gain + offset, element_of(op.results[0])),
        pad=attr_ints(conv, "pad"),
        stride=attr_ints(conv, "stride"),
        dilation=attr_ints(conv, "dilation"),
        depthwise=depthwise,
    )


def _scaled_weight(
    value: ir.Value, gain: npt.NDArray[np.float64], b: Builder, depthwise: bool
) -> ir.Value | None:
    """Return `value` times `gain` per output channel; quantised weights change scales only."""
    shape = shape_of(value)
    axes = (2, 3) if depthwise else (0,)
    broadcast = [shape[a] if a in axes else 1 for a in range(len(shape))]
    real = constant_value(value)
    if real is not None:
        return b.const(real * gain.reshape(broadcast), element_of(value))
    if depthwise and shape[3] != 1:
        return None
    try:
        weights = weights_of(value, axes)
    except Refusal:
        return None
    if weights is None or weights.zero_point or not gain.all():
        return None
    # A negative gain flips the integers, so that scales stay positive.
    stored = weights.stored * np.sign(gain).astype(np.int64).reshape(broadcast)
    params = QuantParams(
        8,
        True,
        -127,
        127,
        tuple(float(s) for s in weights.scales * np.abs(gain)),
        (0,) * gain.size,
        axes[0],
    )
    if stored.max() > params.high or stored.min() < params.low:
        return None
    return b.dcast(b.scast(b.const(stored, i(8)), params.type()))


@register_pass
@dataclasses.dataclass(frozen=True)
class FoldBatchNorm(PatternPass):
    """Fold a 1x1 depthwise convolution (inference batch norm) into the convolution before it.

    Weights and bias of the producer take the factor and the offset. Weights that are quantised per
    channel keep their integers: the factor goes into their scales, so nothing is rounded twice. A
    batch norm whose producer is used elsewhere too, or is no convolution, stays as it is.
    """

    name: ClassVar[str] = "tosaic-fold-batch-norm"
    patterns: ClassVar[tuple[Pattern, ...]] = (fold_into_producer,)
