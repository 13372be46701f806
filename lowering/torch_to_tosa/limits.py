"""Limits: clamp in all its forms, the rectifiers, numbers in place of NaN and infinity."""

from __future__ import annotations

import math

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import is_float
from tosaic.lowering.ops import Lowering, Quantized, lowers
from tosaic.lowering.torch_to_tosa.formula import compute_type
from tosaic.lowering.torch_to_tosa.promotion import operand, result

# The largest number of each float type; f64 is computed in f32.
_LARGEST = {
    "f16": 65504.0,
    "bf16": 3.3895313892515355e38,
    "f32": 3.4028234663852886e38,
    "f64": 3.4028234663852886e38,
}


def _clamped(ctx: Lowering, low: float | None, high: float | None) -> ir.Value:
    if low is not None and high is not None:
        low = min(low, high)  # as PyTorch: where they cross, every element becomes the upper one
    return result(ctx, operand(ctx, 0, compute_type(ctx.out_element())).clamp(low, high))


def _limited(ctx: Lowering, low: int | None, high: int | None) -> ir.Value:
    """Limit operand 0 by the tensors that operands `low` and `high` are."""
    x = operand(ctx, 0, compute_type(ctx.out_element()))
    if low is not None:
        x = x.maximum(operand(ctx, low, x.element))
    if high is not None:
        x = x.minimum(operand(ctx, high, x.element))
    return result(ctx, x)


def _number(ctx: Lowering, index: int) -> float | None:
    return None if ctx.is_none(index) else ctx.scalar(index)


# --- clamp ---------------------------------------------------------------------------------------


@lowers(
    "torch.aten.clamp", "torch.aten.hardtanh", quantized=Quantized.CLAMP, range_arguments=(1, 2)
)
def clamp(ctx: Lowering) -> ir.Value:
    """`clamp(x, min?, max?)` with numbers as bounds."""
    return _clamped(ctx, _number(ctx, 1), _number(ctx, 2))


@lowers("torch.aten.clamp_min", quantized=Quantized.TABLE)
def clamp_min(ctx: Lowering) -> ir.Value:
    """`clamp_min(x, min)`."""
    return _clamped(ctx, ctx.scalar(1), None)


@lowers("torch.aten.clamp_max", quantized=Quantized.TABLE)
def clamp_max(ctx: Lowering) -> ir.Value:
    """`clamp_max(x, max)`."""
    return _clamped(ctx, None, ctx.scalar(1))


@lowers("torch.aten.clamp.Tensor", activations=(0, 1, 2))
def clamp_tensor(ctx: Lowering) -> ir.Value:
    """`clamp(x, min?, max?)` with tensors as bounds."""
    return _limited(ctx, None if ctx.is_none(1) else 1, None if ctx.is_none(2) else 2)


@lowers("torch.aten.clamp_min.Tensor", quantized=Quantized.RESCALED, activations=(0, 1))
def clamp_min_tensor(ctx: Lowering) -> ir.Value:
    """`clamp_min(x, min)` with a tensor as bound."""
    return _limited(ctx, 1, None)


@lowers("torch.aten.clamp_max.Tensor", quantized=Quantized.RESCALED, activations=(0, 1))
def clamp_max_tensor(ctx: Lowering) -> ir.Value:
    """`clamp_max(x, max)` with a tensor as bound."""
    return _limited(ctx, None, 1)


# --- rectifiers ----------------------------------------------------------------------------------


@lowers("torch.aten.relu", quantized=Quantized.CLAMP)
def relu(ctx: Lowering) -> ir.Value:
    """``max(x, 0)``."""
    return _clamped(ctx, 0, None)


@lowers("torch.aten.relu6", quantized=Quantized.CLAMP, output_range=(0.0, 6.0))
def relu6(ctx: Lowering) -> ir.Value:
    """``min(max(x, 0), 6)``."""
    return _clamped(ctx, 0, 6)


# --- in place of what is no number ---------------------------------------------------------------


@lowers("torch.aten.nan_to_num", quantized=Quantized.TABLE)
def nan_to_num(ctx: Lowering) -> ir.Value:
    """`nan_to_num(x, nan?, posinf?, neginf?)`."""
    x = operand(ctx, 0, ctx.out_element())
    if not is_float(x.element):
        return x.value
    largest = _LARGEST[str(x.element)]
    nan = 0.0 if ctx.is_none(1) else ctx.real(1)
    positive = largest if ctx.is_none(2) else ctx.real(2)
    negative = -largest if ctx.is_none(3) else ctx.real(3)
    x = x.equals(x).where(x, nan)
    x = x.equals(math.inf).where(positive, x)
    return x.equals(-math.inf).where(negative, x).value
