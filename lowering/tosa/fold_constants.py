"""Constant folding where upstream's is not enough: movement and float arithmetic of any size."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import constant_value, element_of, quant_params, storage_of
from tosaic.lowering.passes import Pattern, PatternPass, register_pass
from tosaic.lowering.tosa.evaluate import FLOAT_ELEMENTWISE, MOVEMENT, OTHER, evaluate


def fold(op: Any, b: Builder) -> ir.Value | None:
    """Replace an op on constants by its value."""
    element = element_of(op.results[0])
    operands = []
    for value in op.operands:
        array = constant_value(value)
        if array is None:
            return None
        operands.append(array)
    value = evaluate(op, operands)
    return None if value is None else b.const(value, element)


def fold_storage_cast(op: Any, b: Builder) -> ir.Value | None:
    """Give a constant its quantised type: scast(const : i8) is a const of the `!quant` type."""
    array = constant_value(op.operands[0])
    return None if array is None else b.const(array, element_of(op.results[0]))


def fold_quantize(op: Any, b: Builder) -> ir.Value | None:
    """Quantise a float constant: qcast(const)."""
    array = constant_value(op.operands[0])
    params = quant_params(element_of(op.results[0]))
    if array is None or params is None:
        return None
    return b.const(params.quantize(array), params.type())


def fold_cast(op: Any, b: Builder) -> ir.Value | None:
    """Convert a constant's element type, as TOSA's CAST does."""
    array = constant_value(op.operands[0])
    element = element_of(op.results[0])
    if array is None:
        return None
    storage = storage_of(element)
    if isinstance(storage, ir.IntegerType) and array.dtype.kind == "f":
        if np.isnan(array).any() or storage.width == 1:
            return None
        bound = 2.0 ** (storage.width - 1)
        largest = np.nextafter(bound, 0) if storage.width > 53 else bound - 1
        array = np.clip(np.rint(array.astype(np.float64)), -bound, largest)
    elif isinstance(storage, ir.IntegerType) and storage.width == 1:
        return None
    return b.const(array, element)


@register_pass
@dataclasses.dataclass(frozen=True)
class FoldConstants(PatternPass):
    """Evaluate TOSA movement, arithmetic, reductions, casts and quant casts of constants.

    Upstream's tosa-layerwise-constant-fold leaves out most of it, and anything of a `!quant` type.
    Operands are used once as a rule (weights), so folding does not duplicate data. Float values are
    computed in float64 and rounded once.
    """

    name: ClassVar[str] = "tosaic-fold-constants"
    patterns: ClassVar[tuple[Pattern, ...]] = (
        *(Pattern(name, fold) for name in (*MOVEMENT, *FLOAT_ELEMENTWISE, *OTHER)),
        Pattern("quant.scast", fold_storage_cast),
        Pattern("quant.qcast", fold_quantize),
        Pattern("tosa.cast", fold_cast),
    )
