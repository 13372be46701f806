"""What still computes in float where the target has integers only."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import element_of, is_float
from tosaic.errors import Diagnostic
from tosaic.lowering.passes import Pass, error_at, fail_if, register_pass


@register_pass
@dataclasses.dataclass(frozen=True)
class CheckIntegers(Pass):
    """Report each op of the model that computes in float, once, for targets without float.

    Such an op has no integer form, or reads and writes tensors that no recipe quantised.
    """

    name: ClassVar[str] = "tosaic-check-integers"

    def run(self, module: ir.Operation) -> None:
        """Fail with all of them."""
        found: dict[str, Diagnostic] = {}

        def visit(op: Any) -> Any:
            values = [*op.operands, *op.results]
            tensors = [v for v in values if isinstance(v.type, ir.RankedTensorType)]
            if _counts(op) and any(is_float(element_of(v)) for v in tensors):
                found.setdefault(str(op.location), error_at(op, _MESSAGE))
            return ir.WalkResult.ADVANCE

        module.walk(visit)
        fail_if(list(found.values()), "Some ops compute in float, which the target does not.")


def _counts(op: Any) -> bool:
    """Return whether `op` computes; a constant does where it is a result of the model."""
    if op.name == "tosa.const":
        return any(use.owner.name == "func.return" for use in op.results[0].uses)
    return bool(op.name.startswith("tosa."))


_MESSAGE = (
    "it is not quantised ('tosaic explain' says why). Write it with other ops, leave it to the "
    "processor before or after the model, or choose a target that computes in float"
)
