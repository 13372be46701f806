"""Comparisons and argmax of dequantised tensors become comparisons of integers."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, constant_value, i
from tosaic.lowering.passes import Pattern, PatternPass, register_pass
from tosaic.lowering.quantization.arithmetic import (
    VALUE_BITS,
    dequantized_source,
    widened,
)

# Beyond every value with its zero point removed, and far from the ends of i32.
_BEYOND = 2**24


def compare(op: Any, b: Builder) -> ir.Value | None:
    """``dcast(x) > dcast(y)`` in one unit in int32; ``dcast(x) > c`` with c rounded as it must be.

    Two tensors of other scales meet in a unit that leaves no bit of i32 free, finer than what
    float32 tells apart in their dequantised values only by the last bits.
    """
    sources = [dequantized_source(v) for v in op.operands]
    if all(sources):
        (x, first), (y, second) = (s for s in sources if s is not None)
        unit = max(first.scale, second.scale)
        if first.scale != second.scale:
            unit /= 2 ** (29 - max(VALUE_BITS[p.bits] for p in (first, second)))
        return b.compare(op.name, widened(b, x, first, unit), widened(b, y, second, unit))
    for side, source in enumerate(sources):
        constant = constant_value(op.operands[1 - side])
        if source is None or constant is None:
            continue
        x, params = source
        limits = _limits(op.name, constant.astype(np.float32), params, on_left=side == 1)
        operands = [widened(b, x, params, params.scale), b.const(limits, i(32))]
        return b.compare(op.name, *(operands if side == 0 else operands[::-1]))
    return None


def _limits(
    name: str, constant: npt.NDArray[np.float32], params: QuantParams, *, on_left: bool
) -> npt.NDArray[np.int64]:
    """Return the integers that steps n of `params` are compared with as ``n * scale`` with floats.

    ``n * scale > c`` is ``n > floor(c / scale)``, ``n * scale >= c`` is ``n >= ceil(c / scale)``,
    and with the constant on the left it is the other way round. Floor and ceiling are by float32's
    product, as PyTorch computes it, not by the quotient.
    """
    scale = np.float32(params.scale)
    with np.errstate(all="ignore"):
        nearest = np.clip(np.nan_to_num(np.rint(constant / scale)), -_BEYOND, _BEYOND)
        value = (nearest.astype(np.float32) * scale).astype(np.float32)
    if name == "tosa.equal":
        limits = np.where(value == constant, nearest, _BEYOND)
    elif (name == "tosa.greater") != on_left:
        limits = np.where(value <= constant, nearest, nearest - 1)
    else:
        limits = np.where(value >= constant, nearest, nearest + 1)
    never = -_BEYOND if on_left and name != "tosa.equal" else _BEYOND
    return np.where(np.isnan(constant), never, limits).astype(np.int64)


def argmax(op: Any, b: Builder) -> ir.Value | None:
    """The place of the largest integer is that of the largest value."""
    source = dequantized_source(op.operands[0])
    if source is None:
        return None
    attributes = {name: op.attributes[name] for name in op.attributes}
    return b.value("tosa.argmax", [b.storage(source[0])], op.results[0].type, **attributes)


@register_pass
@dataclasses.dataclass(frozen=True)
class FoldCompare(PatternPass):
    """Compare dequantised tensors, with each other or with constants, and find maxima, in integers.

    Against a constant the result is PyTorch's own for every value; `tosa.greater` and its like take
    i32, so both sides are widened first. ARGMAX takes the stored i8 or i16 as it is.
    """

    name: ClassVar[str] = "tosaic-fold-compare"
    patterns: ClassVar[tuple[Pattern, ...]] = (
        *(Pattern(f"tosa.{name}", compare) for name in ("equal", "greater", "greater_equal")),
        Pattern("tosa.argmax", argmax),
    )
