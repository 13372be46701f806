"""Passes of the rowmac backend; tosaic-opt has them, too, once the package is installed."""

import math
from dataclasses import dataclass
from typing import ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.locations import source_site
from tosaic.dialects.types import shape_of
from tosaic.lowering.passes import Pass, error_at, fail_if, register_pass

STEP = "rowmac.step"
_COMPUTED = ("tosa.conv2d", "tosa.rescale", "tosa.clamp", "tosa.table")
_FREE = ("tosa.const", "tosa.const_shape", "tosa.reshape")


@register_pass
@dataclass(frozen=True)
class Check(Pass):
    """Report every op that the device does not have.

    It has dense layers, which are convolutions with kernels of 1x1, and what is behind them.
    """

    name: ClassVar[str] = "rowmac-check"

    def run(self, module):
        problems = []

        def visit(op):
            if op.name == "tosa.conv2d" and shape_of(op.operands[1])[1:3] != [1, 1]:
                problems.append(error_at(op, "kernels are 1x1 on rowmac; use dense layers."))
            elif op.name.startswith("tosa.") and op.name not in (*_COMPUTED, *_FREE):
                problems.append(error_at(op, f"{op.name} does not run on rowmac; replace it."))
            return ir.WalkResult.ADVANCE

        module.walk(visit)
        fail_if(problems, "Some ops do not run on rowmac.")


@register_pass
@dataclass(frozen=True)
class NumberSteps(Pass):
    """Number the ops that compute, from `first` on, in the order they run."""

    name: ClassVar[str] = "rowmac-number-steps"
    first: int = 0

    def run(self, module):
        for number, op in enumerate(_computed(module), self.first):
            op.attributes[STEP] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), number)


def steps_of(module):
    """Return the device's program: what each step computes, and where in the source it is from."""
    return [
        {
            "step": op.attributes[STEP].value,
            "op": op.name.removeprefix("tosa."),
            "shape": shape_of(op.results[0]),
            "macs": _macs(op),
            "from": str(source_site(op.location)),
        }
        for op in _computed(module.operation)
    ]


def _macs(op):
    if op.name != "tosa.conv2d":
        return 0
    return math.prod(shape_of(op.results[0])) * shape_of(op.operands[1])[3]


def _computed(module):
    found = []

    def visit(op):
        if op.name in _COMPUTED:
            found.append(op)
        return ir.WalkResult.ADVANCE

    module.walk(visit)
    return found
