"""Which ops are to be computed in integers, and as what unit: told from the quantiser to MLIR.

A node carries its unit's name in ``meta["custom"]``, which ``torch.export.save`` keeps. The
imported function has them all as ``tosaic.units``, by the names that ops have in their locations; a
program that another quantiser made has none.
"""

from __future__ import annotations

from typing import Any

from torch.fx import Node

from tosaic.dialects.bindings import ir
from tosaic.lowering.quantization.check_units import UNITS

_KEY = "tosaic.unit"


def mark(node: Node, unit: str) -> None:
    """Note on `node` that it belongs to `unit`, which computes in integers."""
    node.meta["custom"] = {**(node.meta.get("custom") or {}), _KEY: unit}


def unit_of(node: Node) -> str:
    """Return the name of the unit that `node` belongs to, empty where it was marked by none."""
    return str((node.meta.get("custom") or {}).get(_KEY, ""))


def annotate_units(function: Any, nodes: list[Node]) -> None:
    """Give `function`, imported from `nodes`, the attribute that tosaic-check-units reads."""
    units = {node.name: ir.StringAttr.get(unit_of(node)) for node in nodes if unit_of(node)}
    if units:
        function.attributes[UNITS] = ir.DictAttr.get(units)
