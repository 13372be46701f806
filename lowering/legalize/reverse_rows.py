"""REVERSE along any dim as one along the rows of a matrix, for Ethos-U55 and U65."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import is_static, shape_of
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass


@pattern("tosa.reverse")
def along_rows(op: Any, b: Builder) -> ir.Value | None:
    """What is before the dim is the height, what is behind it the channels."""
    (x,), axis = op.operands, op.attributes["axis"].value
    shape = shape_of(x)
    if not is_static(shape) or axis in (len(shape) - 3, len(shape) - 2):
        return None
    rows = b.reshape(x, [math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])])
    return b.reshape(b.reverse(rows, 1), shape)


@register_pass
@dataclasses.dataclass(frozen=True)
class ReverseRows(PatternPass):
    """Reverse along the width after a reshape, where Ethos-U55 and U65 reverse no other dim."""

    name: ClassVar[str] = "tosaic-reverse-rows"
    patterns: ClassVar[tuple[Pattern, ...]] = (along_rows,)
