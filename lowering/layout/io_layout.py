"""The dimension order of images at the model's boundary."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.builder import NCHW, NHWC, Builder
from tosaic.dialects.types import element_of, shape_of, tensor
from tosaic.errors import PipelineError
from tosaic.lowering.passes import Pass, register_pass
from tosaic.lowering.signature import set_signature, signature_attrs


@register_pass
@dataclasses.dataclass(frozen=True)
class IoLayout(Pass):
    """Give rank-4 arguments and results the dimension order `layout`: nchw (as is) or nhwc.

    The transposes back are inserted inside the function, for tosaic-place-transposes to cancel.
    Changed arguments and results are marked ``tosaic.layout = "nhwc"`` for the I/O manifest.
    """

    name: ClassVar[str] = "tosaic-io-layout"
    layout: str = "nchw"

    def run(self, module: ir.Operation) -> None:
        """Rewrite the signature of each function."""
        if self.layout not in ("nchw", "nhwc"):
            raise PipelineError(f"Layout '{self.layout}' is unknown; choose nchw or nhwc.")
        if self.layout == "nchw":
            return
        for function in list(module.regions[0].blocks[0].operations):
            if isinstance(function, func.FuncOp) and not function.is_external:
                _to_nhwc(function)


def _to_nhwc(function: Any) -> None:
    block = function.regions[0].blocks[0]
    arguments, results = signature_attrs(function)
    mark = ir.StringAttr.get("nhwc")
    for n, argument in enumerate(block.arguments):
        if len(shape_of(argument)) == 4:
            shape = shape_of(argument)
            readers = [(use.owner, use.operand_number) for use in argument.uses]
            argument.set_type(tensor([shape[p] for p in NHWC], element_of(argument)))
            b = Builder(function.location, ir.InsertionPoint.at_block_begin(block))
            back = b.transpose(argument, NCHW)
            for reader, operand in readers:
                reader.operation.operands[operand] = back
            arguments[n]["tosaic.layout"] = mark
    terminator = block.operations[len(block.operations) - 1].operation
    for n, value in enumerate(terminator.operands):
        if len(shape_of(value)) == 4:
            b = Builder(terminator.location, ir.InsertionPoint(terminator))
            terminator.operands[n] = b.transpose(value, NHWC)
            results[n]["tosaic.layout"] = mark
    set_signature(function, arguments, results)
