"""Transposes with reshapes between them become one."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import shape_of
from tosaic.lowering.layout.regroup import Move
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass


@pattern("tosa.transpose")
def join(op: Any, b: Builder) -> ir.Value | None:
    """transpose(reshape(transpose x)) becomes one transpose between reshapes, or one reshape."""
    before = _earlier_transposes(op.operands[0])
    move = Move.to(op.results[0]) if before else None
    if move is None or (before_of := _earlier_transposes(move.source)) == before:
        return None
    assert before_of < before
    return move.build(b, shape_of(op.results[0]))


def _earlier_transposes(value: ir.Value) -> int:
    """Return how many transposes lead to `value` through reshapes and transposes alone."""
    count = 0
    while not isinstance(value.owner, ir.Block):
        if value.owner.name not in ("tosa.reshape", "tosa.transpose"):
            break
        count += value.owner.name == "tosa.transpose"
        value = value.owner.operands[0]
    return count


@register_pass
@dataclasses.dataclass(frozen=True)
class JoinTransposes(PatternPass):
    """Join transposes that only reshapes keep apart.

    Attention and patch embeddings are written as views: transpose, flatten, transpose again. Seen
    on the factors that the reshapes split and merge, such a chain is one permutation, and often
    none at all. A chain whose reshapes cut across those factors keeps its transposes.
    """

    name: ClassVar[str] = "tosaic-join-transposes"
    patterns: ClassVar[tuple[Pattern, ...]] = (join,)
