"""Tensors that the model brings along."""

from __future__ import annotations

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import constant_value
from tosaic.lowering.ops import Lowering, Refusal, lowers


@lowers("torch.vtensor.literal")
def literal(ctx: Lowering) -> ir.Value:
    """A weight, buffer or lifted constant."""
    attr = ctx.op.attributes["value"]
    if not isinstance(attr, ir.DenseElementsAttr):
        raise Refusal("its elements are not stored in the module (dense_resource)")
    array = constant_value(ctx.op.results[0])
    if array is None:  # bf16 and other types that numpy lacks: keep the attribute as it is
        return ctx.b.value("tosa.const", [], ctx.out_type(), values=attr)
    if array.dtype == np.uint8:
        array = array.view(np.int8)
    return ctx.b.const(array, ctx.out_element())
