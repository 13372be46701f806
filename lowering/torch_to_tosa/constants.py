"""Tensors that the model brings along."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import constant_value, i, is_float, tensor
from tosaic.lowering.ops import Lowering, Refusal, lowers


@lowers("torch.vtensor.literal")
def literal(ctx: Lowering) -> ir.Value:
    """A weight, buffer or lifted constant."""
    attr = ctx.op.attributes["value"]
    if not isinstance(attr, ir.DenseElementsAttr):
        raise Refusal("its elements are not stored in the module (dense_resource)")
    element = ctx.out_element()
    array = constant_value(ctx.op.results[0])
    if array is None:  # bf16 and other types that numpy lacks: keep the attribute as it is
        return returned(ctx, ctx.b.value("tosa.const", [], ctx.out_type(), values=attr))
    if isinstance(element, ir.IntegerType) and element.width == 8 and array.dtype == np.uint8:
        return returned(ctx, ctx.b.const(array.view(np.int8), i(8)))
    return returned(ctx, constant(ctx.b, array, element))


def constant(b: Builder, array: npt.NDArray[Any], element: ir.Type) -> ir.Value:
    """Return a `tosa.const`; numpy's contiguous arrays have a dim at least, tensors need none."""
    if array.shape:
        return b.const(array, element)
    number = array.item()
    attr = (
        ir.FloatAttr.get(element, float(number))
        if is_float(element)
        else ir.IntegerAttr.get(element, int(number))
    )
    scalar = tensor([], element)
    return b.value("tosa.const", [], scalar, values=ir.DenseElementsAttr.get_splat(scalar, attr))


def returned(ctx: Lowering, value: ir.Value) -> ir.Value:
    """Return constant `value`, behind an IDENTITY where the function returns it.

    Folding a cast to the torch dialect makes a torch literal of a constant, which the function
    would return.
    """
    uses = ctx.op.results[0].uses
    if any(use.owner.operation.name == "func.return" for use in uses):
        return ctx.b.unary("tosa.identity", value)
    return value
