"""CONCATs that begin alike read one another, for the embedded runtime.

Canonicalisation flattens them: in a DenseNet each layer's input is then a CONCAT of all outputs
before it, which all stay alive until the last. Nested, the input of one layer and one output make
the input of the next, with fewer rows to copy and fewer tensors alive at once.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass


@pattern("tosa.concat")
def after_its_beginning(op: Any, b: Builder) -> ir.Value | None:
    """Join the result of the longest CONCAT that has the beginning, and the rest."""
    values = list(op.operands)
    longest: Any = None
    for use in values[0].uses:
        other = use.owner.operation
        count = len(other.operands)
        if (
            use.operand_number == 0
            and other.name == "tosa.concat"
            and other.attributes["axis"] == op.attributes["axis"]
            and 1 < count < len(values)
            and list(other.operands) == values[:count]
            and other.block == op.operation.block
            and other.is_before_in_block(op.operation)
            and (longest is None or count > len(longest.operands))
        ):
            longest = other
    if longest is None:
        return None
    rest = values[len(longest.operands) :]
    return b.concat([longest.results[0], *rest], op.attributes["axis"].value)


@register_pass
@dataclasses.dataclass(frozen=True)
class NestConcats(PatternPass):
    """Let a CONCAT read the result of another that joins the same tensors at the beginning."""

    name: ClassVar[str] = "tosaic-nest-concats"
    patterns: ClassVar[tuple[Pattern, ...]] = (after_its_beginning,)
