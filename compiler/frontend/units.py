"""Which ops are to be computed in integers, and as what unit: told from the quantiser to MLIR.

A node carries its units' names in ``meta["custom"]``, which ``torch.export.save`` keeps: one, but
for ops next to the source of several lookups. The imported function has them as ``tosaic.units``,
by the names that ops have in their locations; a program that another quantiser made has none.
"""

from __future__ import annotations

from typing import Any

from torch.fx import Node

from tosaic.dialects.bindings import ir
from tosaic.lowering.quantization.check_units import UNITS

_KEY = "tosaic.units"


def mark(node: Node, unit: str) -> None:
    """Note on `node` that it belongs to `unit`, which computes in integers."""
    units = [known for known in units_of(node) if known != unit]
    node.meta["custom"] = {**(node.meta.get("custom") or {}), _KEY: [*units, unit]}


def units_of(node: Node) -> list[str]:
    """Return the names of the units that `node` belongs to, none where it was marked by none."""
    return list((node.meta.get("custom") or {}).get(_KEY, ()))


def annotate_units(function: Any, nodes: list[Node]) -> None:
    """Give `function`, imported from `nodes`, the attribute that tosaic-check-units reads."""
    units = {n.name: ir.StringAttr.get(found[-1]) for n in nodes if (found := units_of(n))}
    if units:
        function.attributes[UNITS] = ir.DictAttr.get(units)
