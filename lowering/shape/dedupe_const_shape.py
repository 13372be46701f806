"""Equal constants become one per region, at its start."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import func, ir
from tosaic.lowering.passes import Pass, register_pass

_CONSTANTS = ("tosa.const", "tosa.const_shape")
_Key = tuple[str, ir.Attribute, ir.Type]


@register_pass
@dataclasses.dataclass(frozen=True)
class DedupeConstShape(Pass):
    """Keep one of each `tosa.const_shape` and `tosa.const` per region, before all other ops.

    The shape operands, zero points and shifts that lowerings make for each op anew are few after
    this. Upstream's cse and canonicalize merge them too, but canonicalize moves constants out of
    `tosa.cond_if` and `tosa.while_loop`, whose regions TOSA demands to be isolated, and forgets
    where they came from. Here a region gets its own copy of an outer constant that it reads, and a
    merged constant has the locations of all that it stands for. Values and types are compared
    exactly: one value in two types or shapes is two constants.
    """

    name: ClassVar[str] = "tosaic-dedupe-const-shape"

    def run(self, module: ir.Operation) -> None:
        """Merge in each region of each function."""
        for function in list(module.regions[0].blocks[0].operations):
            if isinstance(function, func.FuncOp) and not function.is_external:
                _dedupe(function.regions[0].blocks[0])


def _dedupe(block: ir.Block) -> None:
    """Give `block` and the blocks inside its ops constants of their own, each value once."""
    readers: dict[_Key, list[tuple[Any, int]]] = {}
    locations: dict[_Key, dict[ir.Location, None]] = {}
    constants = []
    for view in block.operations:
        op = view.operation
        if op.name in _CONSTANTS:
            constants.append(op)
        for region in op.regions:
            for inner in region.blocks:
                _dedupe(inner)
        for number, value in enumerate(op.operands):
            owner = value.owner
            if not isinstance(owner, ir.Block) and owner.name in _CONSTANTS:
                key = (str(owner.name), owner.attributes["values"], value.type)
                readers.setdefault(key, []).append((op, number))
                locations.setdefault(key, {})[owner.location] = None
    start = ir.InsertionPoint.at_block_begin(block)
    for key, uses in readers.items():
        constant = ir.Operation.create(
            key[0],
            results=[key[2]],
            attributes={"values": key[1]},
            loc=ir.Location.fused(list(locations[key])),
            ip=start,
        )
        for op, number in uses:
            op.operands[number] = constant.results[0]
    for op in constants:
        if not any(True for _ in op.results[0].uses):
            op.erase()
