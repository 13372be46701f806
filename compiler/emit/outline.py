"""Cutting one op out of a program, to compile or run it alone."""

from __future__ import annotations

from typing import Any

from tosaic.dialects.bindings import func, ir

_CONSTANTS = ("tosa.const", "tosa.const_shape")


def outline_op(op: ir.Operation) -> ir.Module:
    """Return a new module, in the same context, whose main does just `op`.

    Constants that feed `op` (or its regions) are copied along; every other value becomes an
    argument, in order of first use. The results of `op` are the results of main.
    """
    op = op.operation
    outer = values_from_outside(op)
    constants = [value for value in outer if _is_constant(value)]
    arguments = [value for value in outer if not _is_constant(value)]
    with op.context, op.location:
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            results = [result.type for result in op.results]
            main = func.FuncOp("main", ([value.type for value in arguments], results))
        block = main.add_entry_block()
        replaced = dict(zip(arguments, block.arguments, strict=True))
        with ir.InsertionPoint(block):
            for value in constants:
                replaced[value] = value.owner.clone().results[0]
            copy = op.clone()
            for old, new in replaced.items():
                replace_uses(copy, old, new)
            func.ReturnOp(list(copy.operation.results))
    return module


def _is_constant(value: ir.Value) -> bool:
    return not isinstance(value.owner, ir.Block) and value.owner.name in _CONSTANTS


def values_from_outside(op: Any) -> list[ir.Value]:
    """Return the values that `op` and its regions use but do not define, in order of first use."""
    inside: set[ir.Value] = set()
    used: dict[ir.Value, None] = {}

    def visit(nested: Any) -> Any:
        used.update(dict.fromkeys(nested.operands))
        inside.update(nested.results)
        for region in nested.regions:
            for block in region.blocks:
                inside.update(block.arguments)
        return ir.WalkResult.ADVANCE

    op.walk(visit, ir.WalkOrder.PRE_ORDER)
    return [value for value in used if value not in inside]


def replace_uses(op: Any, old: ir.Value, new: ir.Value) -> None:
    """Replace `old` by `new` in the operands of `op` and of everything inside it."""

    def visit(nested: Any) -> Any:
        nested.replace_uses_of_with(old, new)
        return ir.WalkResult.ADVANCE

    op.walk(visit, ir.WalkOrder.PRE_ORDER)
