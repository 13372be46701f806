"""Checks that torch.export leaves in the graph: types and static shapes say the same."""

from __future__ import annotations

from tosaic.dialects.bindings import ir
from tosaic.lowering.ops import Lowering, lowers


@lowers(
    "torch.aten._assert_tensor_metadata",
    "torch.aten._assert_scalar",
    "torch.aten._assert_async.msg",
    "torch.aten.sym_constrain_range",
    "torch.aten.sym_constrain_range_for_size",
)
def drop(ctx: Lowering) -> list[ir.Value]:
    """Nothing: these have no results."""
    return []
