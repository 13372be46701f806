"""Sums of operands that are rescaled by different whole factors, as Ethos-U55 computes them."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import i
from tosaic.lowering.legalize.ethos_u_limits import unequal_integer_factors
from tosaic.lowering.legalize.forms import UNIT, Rescale, defining
from tosaic.lowering.passes import Pattern, PatternPass, register_pass


def apart(op: Any, b: Builder) -> ir.Value | None:
    """Factors other than 1 become a MUL of their own."""
    if unequal_integer_factors(op) is None:
        return None
    operands = []
    for value in list(op.operands)[:2]:
        rescale = Rescale.of(defining(value, "rescale"))
        if rescale is None or rescale.is_unit:
            operands.append(value)
            continue
        zero_points = rescale.zero_points
        plain = b.rescale(rescale.x, i(32), [UNIT[0]], [UNIT[1]], zero_points=zero_points)
        operands.append(b.mul(plain, b.splat(plain, round(rescale.factor))))
    return b.binary(op.name, *operands)


@register_pass
@dataclasses.dataclass(frozen=True)
class ScaleByProduct(PatternPass):
    """Multiply in front of an ADD or SUB whose operands Vela would scale by the wrong factors.

    Vela 5.2 makes RESCALEs of both operands by whole numbers part of the sum, which Ethos-U55
    and U65 can with one factor for both only. As a MUL of its own the factor is right.
    """

    name: ClassVar[str] = "tosaic-scale-by-product"
    patterns: ClassVar[tuple[Pattern, ...]] = tuple(
        Pattern(f"tosa.{name}", apart) for name in ("add", "sub")
    )
