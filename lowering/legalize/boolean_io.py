"""Booleans at the boundary of a program for devices that have none."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, element_of, i, is_signless_integer, shape_of, tensor
from tosaic.lowering.passes import Pass, register_pass
from tosaic.lowering.quantization.quantize_io import QTYPE
from tosaic.lowering.signature import set_signature, signature_attrs

_BYTE = QuantParams(8, True, -128, 127, (1.0,), (0,))


@register_pass
@dataclasses.dataclass(frozen=True)
class BooleanIo(Pass):
    """Take and return booleans as int8 of scale 1: 1 is true, and of an input all but 0.

    The I/O manifest shows them as quantised, so a caller who has booleans or floats need not know.
    """

    name: ClassVar[str] = "tosaic-boolean-io"

    def run(self, module: ir.Operation) -> None:
        """Rewrite the signature of each function."""
        for function in list(module.regions[0].blocks[0].operations):
            if isinstance(function, func.FuncOp) and not function.is_external:
                _to_bytes(function)


def _to_bytes(function: Any) -> None:
    block = function.regions[0].blocks[0]
    arguments, results = signature_attrs(function)
    mark = ir.TypeAttr.get(_BYTE.type())
    start = Builder(function.location, ir.InsertionPoint.at_block_begin(block))
    for n, argument in enumerate(block.arguments):
        if _is_boolean(argument):
            readers = [(use.owner, use.operand_number) for use in argument.uses]
            argument.set_type(tensor(shape_of(argument), i(8)))
            boolean = start.cast(argument, i(1))
            for reader, operand in readers:
                reader.operation.operands[operand] = boolean
            arguments[n][QTYPE] = mark
    terminator = block.operations[len(block.operations) - 1].operation
    end = Builder(terminator.location, ir.InsertionPoint(terminator))
    for n, value in enumerate(terminator.operands):
        if _is_boolean(value):
            terminator.operands[n] = end.cast(value, i(8))
            results[n][QTYPE] = mark
    set_signature(function, arguments, results)


def _is_boolean(value: ir.Value) -> bool:
    return is_signless_integer(element_of(value), 1)
