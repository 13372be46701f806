"""What was planned in integers is in integers: the end of the quantisation stage."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.locations import source_site
from tosaic.dialects.types import element_of, is_float
from tosaic.errors import Diagnostic
from tosaic.lowering.passes import Pass, error_at, fail_if, register_pass

UNITS = "tosaic.units"
_CASTS = ("quant.qcast", "quant.dcast", "quant.scast", "tosa.const", "func.return")


@register_pass
@dataclasses.dataclass(frozen=True)
class CheckUnits(Pass):
    """Check that no op computes in float where the quantiser planned a unit of integers.

    ``tosaic.units`` on a function tells the plan: the unit that each op belongs to, by the name in
    the op's location. All ops that are in float are reported, each with its place in the user's
    source. The attribute is dropped; a function without one, quantised by something else, is not
    checked.
    """

    name: ClassVar[str] = "tosaic-check-units"

    def run(self, module: ir.Operation) -> None:
        """Check every function that has a plan."""
        problems: list[Diagnostic] = []
        for function in list(module.regions[0].blocks[0].operations):
            if isinstance(function, func.FuncOp) and UNITS in function.attributes:
                problems += _in_float(function, function.attributes[UNITS])
                del function.attributes[UNITS]
        fail_if(problems, "Some ops that were planned in integers would run in float.")


def _in_float(function: Any, plan: ir.DictAttr) -> list[Diagnostic]:
    units = {entry.name: str(entry.attr.value) for entry in plan}
    found: dict[str, Diagnostic] = {}

    def visit(op: Any) -> Any:
        name = source_site(op.location).name
        if name in units and name not in found and _computes_in_float(op):
            unit = units[name]
            part = f" as part of '{unit}'" if unit != name else ""
            found[name] = error_at(
                op,
                f"the quantiser planned it in integers{part}, but {op.name} would run in float: "
                f"this combination of ops has no integer form. Write it with other ops, or leave "
                f"'{unit}' in float (leave_float in an override of the recipe) on a target that "
                "computes in float",
            )
        return ir.WalkResult.ADVANCE

    function.operation.walk(visit)
    return list(found.values())


def _computes_in_float(op: Any) -> bool:
    if op.name in _CASTS or op.name == "func.func":
        return False
    values = [*op.operands, *op.results]
    return any(isinstance(v.type, ir.RankedTensorType) and is_float(element_of(v)) for v in values)
