"""Every result of a program is written by an op of its own."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.builder import Builder
from tosaic.lowering.passes import Pass, register_pass


@register_pass
@dataclasses.dataclass(frozen=True)
class SeparateOutputs(Pass):
    """Put a `tosa.identity` before results that are arguments or constants, or returned twice.

    A flatbuffer names each output tensor once and Vela wants each to have a writer; a model may
    return its input, what it knows beforehand, or the same value under two names.
    """

    name: ClassVar[str] = "tosaic-separate-outputs"

    def run(self, module: ir.Operation) -> None:
        """Rewrite the terminator of each function."""
        for function in list(module.regions[0].blocks[0].operations):
            if isinstance(function, func.FuncOp) and not function.is_external:
                _separate(function.regions[0].blocks[0])


def _separate(block: Any) -> None:
    terminator = block.operations[len(block.operations) - 1].operation
    seen: list[ir.Value] = []
    for n, value in enumerate(terminator.operands):
        if isinstance(value.owner, ir.Block) or value.owner.name == "tosa.const" or value in seen:
            b = Builder(terminator.location, ir.InsertionPoint(terminator))
            terminator.operands[n] = b.unary("tosa.identity", value)
        seen.append(value)
