"""ATen ops that the torch dialect has no op for: `torch.operator "torch.aten.x"`, by their name."""

from __future__ import annotations

from collections.abc import Sequence

from tosaic.dialects.bindings import ir
from tosaic.lowering.ops import Lowering, Refusal, lowers, op_table


def aten_name(ctx: Lowering) -> str:
    """Return the op-table name of the op being lowered, whichever way the dialect holds it."""
    if ctx.op.name == "torch.operator":
        return str(ctx.op.attributes["name"].value)
    return str(ctx.op.name)


@lowers("torch.operator")
def operator(ctx: Lowering) -> ir.Value | Sequence[ir.Value]:
    """Lower by the table's entry of the name that the op carries."""
    from tosaic.lowering.torch_to_tosa.convert import lower  # it imports this package's table

    entry = op_table().get(aten_name(ctx))
    if entry is None or entry.lower is None:
        raise Refusal(
            "it has no lowering. Rewrite the model without it, or add a lowering "
            "(CONTRIBUTING.md, 'How to add an op')"
        )
    return lower(entry, ctx)
