"""Weights of four bits are stored as i4."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import constant_value, element_of, i, is_signless_integer
from tosaic.lowering.passes import Pattern, PatternPass, register_pass

_LIMIT = 7  # TOSA's i4 is symmetric


def pack(op: Any, b: Builder) -> ir.Value | None:
    """conv(i8, i8) whose constant weights reach from -7 to 7 is conv(i8, i4)."""
    x, weight, bias, zero_point, weight_zero = op.operands
    values, zero = constant_value(weight), constant_value(weight_zero)
    both_i8 = all(is_signless_integer(element_of(v), 8) for v in (x, weight))
    if not both_i8 or values is None or zero is None or zero.any():
        return None
    if values.size == 0 or np.abs(values.astype(np.int64)).max() != _LIMIT:
        return None  # the ones of a sum need fewer than four bits, and not this extension
    narrow = b.const(values, i(4)), b.const(zero, i(4))
    return b.value(
        op.name,
        [x, narrow[0], bias, zero_point, narrow[1]],
        op.results[0].type,
        **{name: op.attributes[name] for name in op.attributes},
    )


@register_pass
@dataclasses.dataclass(frozen=True)
class PackInt4(PatternPass):
    """Store the weights of int8 convolutions as i4 where the largest of them is 7 or -7.

    Half the bytes, the same integers. For targets with TOSA's extension EXT-INT4, which has such
    convolutions of int8 inputs only.
    """

    name: ClassVar[str] = "tosaic-pack-int4"
    patterns: ClassVar[tuple[Pattern, ...]] = tuple(
        Pattern(f"tosa.{name}", pack)
        for name in ("conv2d", "conv3d", "depthwise_conv2d", "transpose_conv2d")
    )
