"""The end of the quantisation stage: every quantised type becomes its storage integer."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.types import element_of, quant_params, storage_of, tensor
from tosaic.errors import Diagnostic
from tosaic.lowering.passes import Pass, error_at, fail_if, register_pass
from tosaic.lowering.signature import set_signature, signature_attrs


@register_pass
@dataclasses.dataclass(frozen=True)
class StripTypes(Pass):
    """Replace `!quant` types by their storage integers and drop the storage casts
    (and the identities that kept quant casts apart).

    This is also the stage's legality check: a quant cast that no island absorbed means that an op
    would have to run in float, and is reported with that op's place in the user's source.
    """

    name: ClassVar[str] = "tosaic-strip-quant-types"

    def run(self, module: ir.Operation) -> None:
        """Check, then retype every function."""
        fail_if(_leftovers(module), "Some ops of the quantised model have no integer form.")
        for function in list(module.regions[0].blocks[0].operations):
            if isinstance(function, func.FuncOp) and not function.is_external:
                _strip(function)


def _leftovers(module: ir.Operation) -> list[Diagnostic]:
    found: dict[str, Diagnostic] = {}

    def visit(op: Any) -> Any:
        if op.name == "quant.qcast":
            culprit = op.operands[0].owner
            _report(found, op if isinstance(culprit, ir.Block) else culprit)
        elif op.name == "quant.dcast":
            for use in op.results[0].uses:
                _report(found, use.owner)
        return ir.WalkResult.ADVANCE

    module.walk(visit)
    return list(found.values())


def _report(found: dict[str, Diagnostic], op: Any) -> None:
    if op.name in ("func.return", "quant.qcast", "quant.dcast"):
        message = (
            "the model's input or output would stay in float here; use integer model I/O "
            "(io_dtype='auto'), or a target that computes in float"
        )
    else:
        message = (
            f"{op.name} would run in float: its inputs and output are not all quantised ('tosaic "
            "explain' says why). Write it with other ops, or choose a target that computes in float"
        )
    found.setdefault(str(op.location), error_at(op, message))


def _strip(function: Any) -> None:
    block = function.regions[0].blocks[0]
    for argument in block.arguments:
        _retype(argument)
    for op in list(block.operations):
        if op.operation.name in ("quant.scast", "tosa.identity"):
            op.operation.results[0].replace_all_uses_with(op.operation.operands[0])
            op.operation.erase()
            continue
        if op.operation.name == "quant.dcast":  # what an island read before it was folded
            op.operation.erase()
            continue
        for result in op.operation.results:
            _retype(result)
    arguments, results = signature_attrs(function)
    set_signature(function, arguments, results)


def _retype(value: ir.Value) -> None:
    if isinstance(value.type, ir.RankedTensorType) and quant_params(element_of(value)) is not None:
        shape = list(ir.RankedTensorType(value.type).shape)
        value.set_type(tensor(shape, storage_of(element_of(value))))
