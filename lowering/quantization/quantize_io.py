"""Model inputs and outputs take quantised types, with their parameters as attributes."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.types import element_of, quant_params
from tosaic.lowering.passes import Pass, register_pass
from tosaic.lowering.signature import set_signature, signature_attrs

QTYPE = "tosaic.qtype"


@register_pass
@dataclasses.dataclass(frozen=True)
class QuantizeIo(Pass):
    """Move the quant casts at a function's boundary out to the caller.

    A float argument whose every use quantises it alike becomes an argument of that quantised type;
    a result that is a dequantised value returns the quantised one. The parameters stay on the
    argument or result as ``tosaic.qtype``, from which the I/O manifest is made. Arguments that are
    used in float too, or with several parameter sets, stay float.
    """

    name: ClassVar[str] = "tosaic-quantize-io"

    def run(self, module: ir.Operation) -> None:
        """Rewrite the signature of every function with a body."""
        for function in list(module.regions[0].blocks[0].operations):
            if isinstance(function, func.FuncOp) and not function.is_external:
                _quantize_signature(function)


def _quantize_signature(function: Any) -> None:
    block = function.regions[0].blocks[0]
    arguments, results = signature_attrs(function)
    for n, argument in enumerate(block.arguments):
        casts = [use.owner for use in argument.uses]
        types = {cast.results[0].type for cast in casts if cast.name == "quant.qcast"}
        if len(types) == 1 and all(cast.name == "quant.qcast" for cast in casts):
            argument.set_type(types.pop())
            for cast in casts:
                cast.results[0].replace_all_uses_with(argument)
                cast.operation.erase()
            arguments[n][QTYPE] = ir.TypeAttr.get(element_of(argument))
    terminator = block.operations[len(block.operations) - 1].operation
    for n, value in enumerate(terminator.operands):
        owner = value.owner
        if not isinstance(owner, ir.Block) and owner.name == "quant.dcast":
            source = owner.operands[0]
            if quant_params(element_of(source)) is not None:
                terminator.operands[n] = source
                results[n][QTYPE] = ir.TypeAttr.get(element_of(source))
    set_signature(function, arguments, results)
