"""Inputs and outputs without elements leave the program's signature."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.types import has_no_elements, shape_of
from tosaic.lowering.passes import Pass, register_pass
from tosaic.lowering.signature import set_signature, signature_attrs


@register_pass
@dataclasses.dataclass(frozen=True)
class DropEmpty(Pass):
    """Remove arguments and results that have a dim of 0, and the placeholders that stood for them.

    TOSA has no such tensors. Nothing is computed from them or for them; whoever runs the program
    knows from the manifest where they belong.
    """

    name: ClassVar[str] = "tosaic-drop-empty"

    def run(self, module: ir.Operation) -> None:
        """Rewrite the signature of each function that nobody calls."""
        for function in list(module.regions[0].blocks[0].operations):
            if isinstance(function, func.FuncOp) and not function.is_external:
                _drop(function)


def _drop(function: Any) -> None:
    block = function.regions[0].blocks[0]
    terminator = block.operations[len(block.operations) - 1].operation
    given, returned = list(block.arguments), list(terminator.operands)
    if all(map(_has_elements, (*given, *returned))):
        return
    arguments, results = signature_attrs(function)
    kept = [n for n, value in enumerate(returned) if _has_elements(value)]
    ir.Operation.create(
        terminator.name,
        operands=[returned[n] for n in kept],
        loc=terminator.location,
        ip=ir.InsertionPoint(terminator),
    )
    terminator.erase()
    for op in reversed([op.operation for op in block.operations]):
        if op.name == "tensor.empty" and not list(op.results[0].uses):
            op.erase()
    taken = [n for n, value in enumerate(given) if _has_elements(value)]
    for n in reversed(range(len(given))):
        if n not in taken:
            block.erase_argument(n)
    set_signature(function, [arguments[n] for n in taken], [results[n] for n in kept])


def _has_elements(value: ir.Value) -> bool:
    return not has_no_elements(shape_of(value))
