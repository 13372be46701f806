"""TOSA has no f64: what a model computes in double is computed in single precision."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import constant_value, f32
from tosaic.lowering.passes import Pass, error_at, fail_if, register_pass
from tosaic.lowering.shape.narrowing import has_element, narrow, walk_ops


@register_pass
@dataclasses.dataclass(frozen=True)
class NarrowFloat64(Pass):
    """Replace f64 by f32 everywhere; constants are rounded to nearest.

    The program keeps 24 of 53 bits, so this is a change of results and not a proof; arguments and
    results that were f64 are marked `tosaic.narrowed = "f64"` for the I/O manifest. A constant that
    is finite in f64 and not in f32 is an error.
    """

    name: ClassVar[str] = "tosaic-narrow-float64"

    def run(self, module: ir.Operation) -> None:
        """Check the constants, then retype."""
        wide = ir.F64Type.get()
        limit = float(np.finfo(np.float32).max)
        errors = []
        for op in walk_ops(module):
            if op.name != "tosa.const" or not has_element(op.results[0], wide):
                continue
            values = constant_value(op.results[0])
            finite = values[np.isfinite(values)] if values is not None else np.zeros(0)
            if finite.size and np.abs(finite).max() > limit:
                errors.append(
                    error_at(op, f"constant {np.abs(finite).max():.3g} is beyond the range of f32")
                )
        fail_if(errors, "Some f64 values have no f32.")
        narrow(module, wide, f32(), ir.FloatAttr.get)
