"""Transposes that gather or spread attention heads, as slices and a concat."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import shape_of
from tosaic.lowering.layout.regroup import Move
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass

_MOST_PARTS = 32
_LEAST_RUN = 8  # elements that stay together; fewer are a transpose of elements


@pattern("tosa.transpose")
def swap_runs(op: Any, b: Builder) -> ir.Value | None:
    """[A,B,D] to [B,A,D] is a concat of the slices along the smaller of A and B."""
    move = Move.to(op.results[0])
    if move is None or move.perm != (1, 0, 2) or move.sizes[2] < _LEAST_RUN:
        return None
    rows, columns, run = move.sizes
    if min(rows, columns) > _MOST_PARTS:
        return None
    if columns <= rows:
        x = b.reshape(move.source, [rows, columns * run])
        parts = [b.slice(x, [0, n * run], [rows, run]) for n in range(columns)]
        joined = b.concat(parts, 0)
    else:
        x = b.reshape(move.source, [rows * columns, run])
        parts = [b.slice(x, [n * columns, 0], [columns, run]) for n in range(rows)]
        joined = b.concat(parts, 1)
    return b.reshape(joined, shape_of(op.results[0]))


@register_pass
@dataclasses.dataclass(frozen=True)
class TransposeBySlices(PatternPass):
    """Swap a short dim with a long one, runs of elements kept, by slices and a concat.

    [tokens, heads, size] to [heads, tokens, size] and back. Vela has no single operation for it:
    its transposes take 3 (U55) to 25 (U85) times the cycles of one copy per head. Up to 32 parts
    of runs of 8 elements or more; other transposes are left.
    """

    name: ClassVar[str] = "tosaic-transpose-by-slices"
    patterns: ClassVar[tuple[Pattern, ...]] = (swap_runs,)
