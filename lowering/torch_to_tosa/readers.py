"""What the readers of an op quantise its result to, perhaps behind clamps and movement."""

from __future__ import annotations

from typing import Any

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams
from tosaic.lowering.ops import Lowering, OpEntry, Quantized, op_table
from tosaic.lowering.torch_to_tosa.operators import op_name
from tosaic.lowering.torch_to_tosa.quantize import quantize_params

_QUANTIZE = "torch.quantized_decomposed.quantize_per_tensor"


def quantized_as(op: Any) -> QuantParams | None:
    """Return the parameters that all readers of `op` quantise its result to, perhaps later.

    An op that is computed as a whole in integers has these as its own; what moves or clamps the
    result before it is quantised then does so with integers. None where there are none, or several.
    """
    return _only(_wanted(op))


def separate_readers(module: ir.Operation) -> None:
    """Give readers that quantise an op's result in different ways each a copy of that op.

    Done for ops that are computed as a whole in integers, and what hands on their results: these
    have the parameters of their result, and readers that take none are served in float.
    """
    ops: list[Any] = []

    def visit(op: Any) -> Any:
        ops.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.walk(visit, ir.WalkOrder.PRE_ORDER)
    for op in reversed(ops):  # readers first
        if _is_whole(op):
            _separate(op)


def _is_whole(op: Any) -> bool:
    """Whether `op` is computed as a whole in integers, or hands on what such an op gives."""
    entry = _entry(op)
    if entry is None or entry.integer is not None:
        return entry is not None
    producer = op.operands[0].owner if _hands_on(entry) else None
    return producer is not None and not isinstance(producer, ir.Block) and _is_whole(producer)


def _hands_on(entry: OpEntry) -> bool:
    return entry.quantized is Quantized.CLAMP or entry.moves


def _separate(op: Any) -> None:
    groups: dict[QuantParams | None, list[tuple[Any, int]]] = {}
    for use in op.results[0].uses:
        wanted = _only(_wanted_by(use))
        groups.setdefault(wanted, []).append((use.owner.operation, use.operand_number))
    for uses in list(groups.values())[1:]:
        copy = op.clone(ir.InsertionPoint(op))
        for reader, number in uses:
            reader.operands[number] = copy.results[0]


def _wanted(op: Any) -> set[QuantParams | None]:
    """Return what each reader quantises the result to; None of one that does not."""
    found: set[QuantParams | None] = set()
    for use in op.results[0].uses:
        found |= _wanted_by(use)
    return found


def _wanted_by(use: Any) -> set[QuantParams | None]:
    reader = use.owner.operation
    if reader.name == _QUANTIZE:
        ctx = Lowering(reader, Builder(reader.location, ir.InsertionPoint(reader)))
        return {quantize_params(ctx)}
    entry = _entry(reader)
    return _wanted(reader) if entry is not None and _hands_on(entry) else {None}


def _only(found: set[QuantParams | None]) -> QuantParams | None:
    return next(iter(found)) if len(found) == 1 else None


def _entry(op: Any) -> OpEntry | None:
    return op_table().get(op_name(op))
