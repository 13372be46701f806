"""A PAD in front of a convolution or max pool becomes the op's own padding."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, attr_ints, const_shape_of, i64_array
from tosaic.dialects.types import constant_value, element_of, is_float, storage_of
from tosaic.lowering.passes import Pattern, PatternPass, register_pass


def fold(op: Any, b: Builder) -> ir.Value | None:
    """conv(pad(x)) is conv(x) with more padding, where the padded value adds nothing."""
    producer = op.operands[0].owner
    if isinstance(producer, ir.Block) or producer.name != "tosa.pad":
        return None
    amounts, value = const_shape_of(producer.operands[1]), constant_value(producer.operands[2])
    neutral = _neutral_value(op)
    if amounts is None or value is None or neutral is None or value.reshape(-1)[0] != neutral:
        return None
    (n, c), spatial = (amounts[:2], amounts[6:]), amounts[2:6]
    if any(n) or any(c) or min(spatial) < 0:
        return None
    pad = [own + more for own, more in zip(attr_ints(op, "pad"), spatial, strict=True)]
    if op.name == "tosa.max_pool2d" and not _every_window_has_input(pad, attr_ints(op, "kernel")):
        return None
    attributes = {name: op.attributes[name] for name in op.attributes}
    attributes["pad"] = i64_array(pad)
    return b.value(
        op.name,
        [producer.operands[0], *list(op.operands)[1:]],
        op.results[0].type,
        **attributes,
    )


def _neutral_value(op: Any) -> float | None:
    """Return the stored value of padding that `op` skips: its zero point, or the lowest value."""
    if op.name != "tosa.max_pool2d":
        zero_point = constant_value(op.operands[3])
        return None if zero_point is None else float(zero_point.reshape(-1)[0])
    element = storage_of(element_of(op.operands[0]))
    return -np.inf if is_float(element) else float(-(2 ** (element.width - 1)))


def _every_window_has_input(pad: list[int], kernel: list[int]) -> bool:
    return max(pad[:2]) < kernel[0] and max(pad[2:]) < kernel[1]


@register_pass
@dataclasses.dataclass(frozen=True)
class FoldPad(PatternPass):
    """Fold a PAD of H and W into the CONV2D, DEPTHWISE_CONV2D or MAX_POOL2D that reads it.

    Exact, for floats and integers: the pad value must be what the op's own padding stands for, the
    input's zero point, or for MAX_POOL2D the lowest value of the type. Each reader of a PAD takes
    it separately. Constant padding of the batch or of channels, and negative amounts, stay.
    """

    name: ClassVar[str] = "tosaic-fold-pad"
    patterns: ClassVar[tuple[Pattern, ...]] = tuple(
        Pattern(f"tosa.{name}", fold) for name in ("conv2d", "depthwise_conv2d", "max_pool2d")
    )
