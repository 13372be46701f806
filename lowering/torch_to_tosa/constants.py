"""Tensors that are known when compiling."""

from __future__ import annotations

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import constant_value, i, is_static
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
        return ctx.b.value("tosa.const", [], ctx.out_type(), values=attr)
    if isinstance(element, ir.IntegerType) and element.width == 8 and array.dtype == np.uint8:
        return ctx.b.const(array.view(np.int8), i(8))
    return ctx.b.const(array, element)


def _static_shape(ctx: Lowering) -> list[int]:
    shape = ctx.out_shape()
    if not is_static(shape):
        raise Refusal("its shape has a dynamic dim; specialise the shapes")
    return shape


@lowers("torch.aten.zeros", "torch.aten.zeros_like", "torch.aten.new_zeros")
def zeros(ctx: Lowering) -> ir.Value:
    """A tensor of zeros."""
    return ctx.b.const(np.zeros(_static_shape(ctx)), ctx.out_element())


@lowers("torch.aten.ones", "torch.aten.ones_like", "torch.aten.new_ones")
def ones(ctx: Lowering) -> ir.Value:
    """A tensor of ones."""
    return ctx.b.const(np.ones(_static_shape(ctx)), ctx.out_element())


@lowers("torch.aten.full", "torch.aten.full_like")
def full(ctx: Lowering) -> ir.Value:
    """`full(size, value)`."""
    return ctx.b.const(np.full(_static_shape(ctx), ctx.scalar(1)), ctx.out_element())
