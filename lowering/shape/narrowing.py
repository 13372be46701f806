"""What the narrowing passes share: one element type takes another's place in a whole module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.types import constant_value, dense, element_of, numpy_dtype, shape_of, tensor
from tosaic.lowering.signature import set_signature, signature_attrs

NARROWED = "tosaic.narrowed"


def has_element(value: ir.Value, element: ir.Type) -> bool:
    """Return whether `value` is a ranked tensor of `element`."""
    return isinstance(value.type, ir.RankedTensorType) and element_of(value) == element


def walk_ops(module: ir.Operation) -> list[Any]:
    """Return every op of `module`, in program order."""
    found: list[Any] = []

    def visit(op: Any) -> Any:
        found.append(op)
        return ir.WalkResult.ADVANCE

    module.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found


def narrow(
    module: ir.Operation,
    wide: ir.Type,
    small: ir.Type,
    number: Callable[[ir.Type, Any], ir.Attribute],
) -> None:
    """Make every tensor of element type `wide` one of `small`.

    `number` makes an attribute of a scalar (the bounds of a clamp). Arguments and results of
    functions say ``tosaic.narrowed = "…"`` what they were.
    """
    for op in walk_ops(module):
        if op.name == "tosa.const" and has_element(op.results[0], wide):
            values = constant_value(op.results[0])
            assert values is not None
            op.attributes["values"] = dense(_converted(values, small), small)
        for name in ("min_val", "max_val"):
            if name in op.attributes and op.attributes[name].type == wide:
                op.attributes[name] = number(small, op.attributes[name].value)
        if "acc_type" in op.attributes and op.attributes["acc_type"].value == wide:
            op.attributes["acc_type"] = ir.TypeAttr.get(small)
        for region in op.regions:
            for block in region.blocks:
                for argument in block.arguments:
                    _retype(argument, wide, small)
        for result in op.results:
            _retype(result, wide, small)
    for op in walk_ops(module):
        if op.name == "tosa.cast" and op.operands[0].type == op.results[0].type:
            op.results[0].replace_all_uses_with(op.operands[0])
            op.erase()
        elif isinstance(op.opview, func.FuncOp):
            _mark_signature(op.opview, wide)


def _converted(values: npt.NDArray[Any], small: ir.Type) -> npt.NDArray[Any]:
    return np.asarray(values).astype(numpy_dtype(small))


def _retype(value: ir.Value, wide: ir.Type, small: ir.Type) -> None:
    if has_element(value, wide):
        value.set_type(tensor(shape_of(value), small))


def _mark_signature(function: Any, wide: ir.Type) -> None:
    if function.is_external:
        return
    kind = function.attributes["function_type"].value
    arguments, results = signature_attrs(function)
    mark = ir.StringAttr.get(str(wide))
    for types, attributes in ((kind.inputs, arguments), (kind.results, results)):
        for type_, of_value in zip(types, attributes, strict=True):
            if isinstance(type_, ir.RankedTensorType) and type_.element_type == wide:
                of_value[NARROWED] = mark
    set_signature(function, arguments, results)
