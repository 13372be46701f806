"""Every reader of a widening RESCALE gets its own."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.types import element_of, is_signless_integer
from tosaic.lowering.passes import Pass, register_pass

_READERS = frozenset(
    f"tosa.{name}" for name in ["add", "sub", "mul", "maximum", "minimum", "reduce_sum"]
)


@register_pass
@dataclasses.dataclass(frozen=True)
class UnshareRescales(Pass):
    """Give each op that computes in i32 its own RESCALE of an i8 or i16 operand.

    Vela makes such a RESCALE a part of the operation that reads it, but only where it is the one
    reader when Vela first looks; one that is shared becomes two operations of its own. Common
    subexpressions are what the passes before leave, so this comes last.
    """

    name: ClassVar[str] = "tosaic-unshare-rescales"

    def run(self, module: ir.Operation) -> None:
        """Copy the rescales of every function."""
        for function in list(module.regions[0].blocks[0].operations):
            if isinstance(function, func.FuncOp) and not function.is_external:
                for op in list(function.entry_block.operations):
                    if _is_widening(op.operation):
                        _unshare(op.operation)


def _is_widening(op: Any) -> bool:
    if op.name != "tosa.rescale" or not is_signless_integer(element_of(op.results[0]), 32):
        return False
    return is_signless_integer(element_of(op.operands[0]), 8, 16)


def _unshare(op: Any) -> None:
    uses = list(op.results[0].uses)
    if any(use.owner.name not in _READERS for use in uses):
        return
    readers = {use.owner.operation: None for use in uses}  # one that reads it twice counts once
    for reader in list(readers)[1:]:
        copy = op.clone(ir.InsertionPoint(reader))
        for n, operand in enumerate(reader.operands):
            if operand == op.results[0]:
                reader.operands[n] = copy.results[0]
