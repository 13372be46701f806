"""Integer forms of functions of one element, from their true values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import QuantParams
from tosaic.lowering.ops import IntegerLower, Lowering
from tosaic.lowering.quantization.tables import Lookup

Array = npt.NDArray[Any]


def table(exact: Callable[[Lowering, Array], Array]) -> IntegerLower:
    """Return the integer form of a function that `exact` computes on float64."""

    def integer(ctx: Lowering, x: ir.Value, given: QuantParams, out: QuantParams) -> ir.Value:
        return Lookup(x, given, lambda real: exact(ctx, real)).quantized(ctx.b, out)

    return integer
