"""The dtype in which PyTorch computes an op on tensors and numbers of several dtypes."""

from __future__ import annotations

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import (
    constant_value,
    element_of,
    i,
    is_float,
    is_signless_integer,
    shape_of,
)
from tosaic.lowering.ops import Lowering
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type

_BOOL, _INT, _FLOAT = range(3)


def _category(element: ir.Type) -> int:
    if is_float(element):
        return _FLOAT
    return _BOOL if is_signless_integer(element, 1) else _INT


def _number_type(number: float) -> ir.Type:
    if isinstance(number, bool):
        return i(1)
    return i(64) if isinstance(number, int) else ir.F32Type.get()


def _wider(x: ir.Type, y: ir.Type) -> ir.Type:
    if _category(x) != _category(y):
        return x if _category(x) > _category(y) else y
    if x != y and is_float(x) and x.width == y.width:
        return ir.F32Type.get()  # f16 and bf16
    return x if x.width >= y.width else y


def promoted(ctx: Lowering, *indices: int) -> ir.Type:
    """Return the result type of operands `indices`, as `torch.result_type` gives it.

    Tensors with dims come before tensors without, and those before numbers: one of a later group
    counts only where it is of a higher category (bool, integer, float).
    """
    groups: list[list[ir.Type]] = [[], [], []]
    for index in indices:
        value = number_of(ctx, index)
        if value is not None:
            groups[2].append(_number_type(value))
        else:
            tensor = ctx.tensor(index)
            groups[0 if shape_of(tensor) else 1].append(element_of(tensor))
    chosen: ir.Type | None = None
    for group in groups:
        best: ir.Type | None = None
        for element in group:
            best = element if best is None else _wider(best, element)
        if best is not None and (chosen is None or _category(best) > _category(chosen)):
            chosen = best
    assert chosen is not None
    return chosen


def number_of(ctx: Lowering, index: int) -> float | None:
    """Return operand `index` as a number known when compiling, a bool converted to one included."""
    if ctx.is_scalar(index):
        return ctx.scalar(index)
    owner = ctx.op.operands[index].owner
    if not isinstance(owner, ir.Block) and owner.name in (
        "torch.aten.Int.bool",
        "torch.aten.Float.Scalar",
    ):
        return number_of(Lowering(owner, ctx.b), 0)
    return None


def number(ctx: Lowering, index: int) -> float:
    """Return operand `index` as a number.

    Raises:
        Refusal: where it is computed by the model.
    """
    known = number_of(ctx, index)
    return ctx.scalar(index) if known is None else known


def operand(ctx: Lowering, index: int, element: ir.Type) -> Term:
    """Return operand `index`, tensor or number, as a term of `element`."""
    value = number_of(ctx, index)
    if value is None:
        tensor = ctx.tensor(index)
        known = constant_value(tensor) if not shape_of(tensor) else None
        if known is None:
            return Term(ctx.b, tensor).converted(element)
        value = known.item()
    rank = len(ctx.out_shape())
    value = value if is_float(element) else int(value)
    return Term(ctx.b, ctx.b.const(np.full([1] * rank, value), element))


def precise_type(element: ir.Type) -> ir.Type:
    """Return the type to compute formulas in: f32 for floats, as PyTorch does for f16 and bf16."""
    return ir.F32Type.get() if is_float(element) else compute_type(element)


def pair(ctx: Lowering) -> tuple[Term, Term]:
    """Return operands 0 and 1 in the type TOSA computes the result in."""
    element = compute_type(ctx.out_element())
    return operand(ctx, 0, element), operand(ctx, 1, element)


def precise_pair(ctx: Lowering) -> tuple[Term, Term]:
    """Return operands 0 and 1 in the type to compute a formula in."""
    element = precise_type(ctx.out_element())
    return operand(ctx, 0, element), operand(ctx, 1, element)


def result(ctx: Lowering, value: Term) -> ir.Value:
    """Return `value` in the type of the result."""
    return value.converted(ctx.out_element()).value
