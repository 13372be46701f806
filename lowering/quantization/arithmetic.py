"""Fixed-point arithmetic of TOSA's RESCALE (TOSA 1.0, section 1.9 'Integer behavior')."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, element_of, i, quant_params
from tosaic.lowering.ops import Refusal

MIN_SHIFT, MAX_SHIFT = 2, 62


def multiplier_and_shift(scale: float, bits: int = 31) -> tuple[int, int]:
    """Return (multiplier, shift) with ``scale ≈ multiplier * 2**-shift``, and `bits` of multiplier.

    That is 31 for scale32 and 15 for the rescale of 48-bit values. The multiplier is in
    [2**(bits - 1), 2**bits) (smaller only where the shift would pass 62), the shift in [2, 62].

    Raises:
        Refusal: for scales that are not positive and finite, or at least 2**(bits - 2).
    """
    if not (math.isfinite(scale) and scale > 0):
        raise Refusal(f"a rescale by {scale} is not possible; a quantisation scale is degenerate")
    mantissa, exponent = math.frexp(scale)
    multiplier = round(mantissa * 2**bits)
    if multiplier == 2**bits:
        multiplier, exponent = 2 ** (bits - 1), exponent + 1
    shift = bits - exponent
    if shift > MAX_SHIFT:
        multiplier, shift = multiplier >> min(shift - MAX_SHIFT, bits), MAX_SHIFT
    if shift < MIN_SHIFT:
        raise Refusal(
            f"a rescale by {scale:.3g} exceeds TOSA's range (below 2**{bits - MIN_SHIFT})"
        )
    return multiplier, shift


def rescaled(
    b: Builder,
    x: ir.Value,
    scales: float | Sequence[float],
    element: ir.Type,
    *,
    zero_points: tuple[int, int] = (0, 0),
) -> ir.Value:
    """Return integer `x` times `scales` (one, or one per last-dim channel) as `element`."""
    values = [scales] if isinstance(scales, int | float) else list(scales)
    if len(set(values)) == 1:
        values = values[:1]
    bits = 15 if element_of(x).width == 48 else 31
    pairs = [multiplier_and_shift(s, bits) for s in values]
    return b.rescale(
        x, element, [m for m, _ in pairs], [s for _, s in pairs], zero_points=zero_points
    )


def requantized(
    b: Builder, accumulator: ir.Value, scales: float | Sequence[float], out: QuantParams
) -> ir.Value:
    """Return an accumulator whose unit is `scales` as a value of the quantised type `out`.

    Values beyond a narrowed storage range (say 4 bits in an i8) are clamped.
    """
    values = [scales] if isinstance(scales, int | float) else list(scales)
    stored = rescaled(
        b,
        accumulator,
        [s / out.scale for s in values],
        i(out.bits),
        zero_points=(0, out.zero_point),
    )
    full = 2 ** (out.bits - 1)
    if out.low > -full or out.high < full - 1:
        stored = b.clamp(stored, out.low, out.high)
    return b.scast(stored, out.type())


def dequantized_source(value: ir.Value) -> tuple[ir.Value, QuantParams] | None:
    """Return (x, its parameters) where `value` is ``quant.dcast x`` per tensor, else None."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.name != "quant.dcast":
        return None
    source = owner.operands[0]
    params = quant_params(element_of(source))
    if params is None or params.per_axis:
        return None
    return source, params


def widened(b: Builder, x: ir.Value, params: QuantParams, scale: float) -> ir.Value:
    """Return quantised `x` as i32 in units of `scale`, its zero point removed."""
    return rescaled(
        b, b.storage(x), params.scale / scale, i(32), zero_points=(params.zero_point, 0)
    )


def as_int16(b: Builder, x: ir.Value, params: QuantParams) -> tuple[ir.Value, QuantParams]:
    """Return quantised `x` as int16 of the same scale without a zero point, exactly."""
    if params.bits == 16:
        return x, params
    bound = 2**15
    wide = QuantParams(16, True, -bound, bound - 1, params.scales, (0,))
    return with_params(b, x, params, wide), wide


# Bits of a value without its sign, its zero point removed (int16 has none).
VALUE_BITS = {8: 9, 16: 15}


def sum_unit(params: QuantParams, count: int) -> float:
    """Return the finest unit, at least a step, in which `count` values add up to an i32."""
    spare = 31 - VALUE_BITS[params.bits] - (count - 1).bit_length()
    return params.scale * 2.0 ** max(0, -spare)


def with_params(b: Builder, x: ir.Value, given: QuantParams, out: QuantParams) -> ir.Value:
    """Return quantised `x` of parameters `given` with parameters `out`: one rescale, or none."""
    if given == out:
        return x
    zero_points = (given.zero_point, out.zero_point)
    ratio = given.scale / out.scale
    return b.scast(
        rescaled(b, b.storage(x), ratio, i(out.bits), zero_points=zero_points), out.type()
    )


def integers(values: npt.NDArray[np.float64], bits: int) -> npt.NDArray[np.int64]:
    """Return `values` rounded to integers of `bits`, saturating."""
    bound = 2.0 ** (bits - 1)
    return np.clip(np.rint(values), -bound, bound - 1).astype(np.int64)


def int32_constant(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return `values` rounded to i32, saturating."""
    return integers(values, 32)
