"""The names of ATen ops, also of those that the torch dialect has no op for."""

from __future__ import annotations

from typing import Any

from tosaic.lowering.ops import Lowering


def op_name(op: Any) -> str:
    """Return the op-table name of `op`, whichever way the dialect holds it."""
    op = op.operation  # an OpView's own `name` may be an attribute
    if op.name == "torch.operator":
        return str(op.attributes["name"].value)
    return str(op.name)


def aten_name(ctx: Lowering) -> str:
    """Return the op-table name of the op being lowered."""
    return op_name(ctx.op)
