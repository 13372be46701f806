"""PT2E's quantize/dequantize ops become `quant` casts, with the parameters in the type."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import QuantParams, constant_value, element_of, shape_of
from tosaic.lowering.ops import Lowering, Refusal, is_unsigned, lowers

_PREFIX = "torch.quantized_decomposed."
_DYNAMIC = (
    "it finds a scale while the model runs (dynamic quantisation), and TOSA's scales are "
    'constants; quantise with calibration data instead, such as quantize="int8"'
)


def _params(ctx: Lowering, stored: ir.Type, *, per_channel: bool, signed: bool) -> QuantParams:
    """Return the parameters that a cast op says, in signed integers whatever it stores."""
    if per_channel:
        scales = ctx.constant(1).astype(np.float64).reshape(-1)
        zeros = np.zeros(scales.size) if ctx.is_none(2) else ctx.constant(2).reshape(-1)
        axis: int | None = ctx.dim(3, len(shape_of(ctx.tensor(0))))
    else:
        scales, zeros = _numbers(ctx, 1), _numbers(ctx, 2)
        axis = None
    good = np.isfinite(scales) & (scales > 0)
    if not good.all():
        raise Refusal(
            f"its scale {scales[~good][0]} is not a positive number; calibrate with data that "
            "reaches this op"
        )
    bounds = 4 if per_channel else 3
    params = QuantParams(
        stored.width,
        True,
        ctx.integer(bounds),
        ctx.integer(bounds + 1),
        tuple(float(s) for s in scales),
        tuple(int(z) for z in zeros),
        axis,
    )
    if stored.width not in (8, 16) and _constant(ctx, 0) is None:
        raise Refusal(f"its values have {stored.width} bits; quantise activations to int8 or int16")
    if stored.width == 16 and (not signed or any(params.zero_points)):
        raise Refusal(
            "TOSA's int16 has no zero point; quantise it symmetrically (torch.int16, "
            "torch.per_tensor_symmetric)"
        )
    return params if signed else _shifted(params)


def _constant(ctx: Lowering, index: int) -> npt.NDArray[Any] | None:
    """Return an operand that is a constant tensor, lowered already or not."""
    value = constant_value(ctx.op.operands[index])
    return constant_value(ctx.tensor(index)) if value is None else value


def _numbers(ctx: Lowering, index: int) -> npt.NDArray[np.float64]:
    """Return an operand that is one number, or a constant tensor of one."""
    if ctx.is_scalar(index):
        return np.array([ctx.scalar(index)], np.float64)
    value = _constant(ctx, index)
    if value is None:
        raise Refusal(_DYNAMIC)
    return value.astype(np.float64).reshape(-1)


def _shifted(params: QuantParams) -> QuantParams:
    """Return unsigned parameters for integers that are less by half of their range."""
    half = 2 ** (params.bits - 1)
    return dataclasses.replace(
        params,
        low=params.low - half,
        high=params.high - half,
        zero_points=tuple(z - half for z in params.zero_points),
    )


def quantize_params(ctx: Lowering) -> QuantParams:
    """Return what a `quantize_per_tensor` op quantises to."""
    signed = not is_unsigned(ctx.op.results[0])
    return _params(ctx, ctx.out_element(), per_channel=False, signed=signed)


def _quantize(ctx: Lowering, *, per_channel: bool) -> ir.Value:
    signed = not is_unsigned(ctx.op.results[0])
    params = _params(ctx, ctx.out_element(), per_channel=per_channel, signed=signed)
    if not signed and not all(_dequantizes(use.owner.operation) for use in ctx.op.results[0].uses):
        raise Refusal("its uint8 values are used as such; quantise to int8")
    # MLIR folds dcast(qcast(x)) to x, which forgets the rounding; the identity keeps them apart.
    barrier = ctx.b.unary("tosa.identity", ctx.b.qcast(ctx.tensor(0), params.type()))
    return ctx.b.storage(barrier)


def _dequantizes(op: Any) -> bool:
    name = op.attributes["name"].value if op.name == "torch.operator" else op.name
    return str(name).startswith(f"{_PREFIX}dequantize")


def _dequantize(ctx: Lowering, *, per_channel: bool) -> ir.Value:
    x = ctx.tensor(0)
    if str(ctx.out_element()) != "f32":
        raise Refusal(f"dequantising to {ctx.out_element()} has no lowering; use float32")
    signed = not is_unsigned(ctx.op.operands[0])
    params = _params(ctx, element_of(x), per_channel=per_channel, signed=signed)
    stored = None if signed else _constant(ctx, 0)
    if stored is not None:
        x = ctx.b.const(stored.view(np.uint8).astype(np.int64) - 128, element_of(x))
    return ctx.b.dcast(ctx.b.scast(x, params.type()))


@lowers(_PREFIX + "quantize_per_tensor", _PREFIX + "quantize_per_tensor.tensor")
def quantize_per_tensor(ctx: Lowering) -> ir.Value:
    """`quantize_per_tensor(x, scale, zero_point, low, high, dtype)`."""
    return _quantize(ctx, per_channel=False)


@lowers(_PREFIX + "dequantize_per_tensor", _PREFIX + "dequantize_per_tensor.tensor")
def dequantize_per_tensor(ctx: Lowering) -> ir.Value:
    """`dequantize_per_tensor(q, scale, zero_point, low, high, dtype)`."""
    return _dequantize(ctx, per_channel=False)


@lowers(_PREFIX + "quantize_per_channel")
def quantize_per_channel(ctx: Lowering) -> ir.Value:
    """`quantize_per_channel(x, scales, zero_points, axis, low, high, dtype)`."""
    return _quantize(ctx, per_channel=True)


@lowers(_PREFIX + "dequantize_per_channel")
def dequantize_per_channel(ctx: Lowering) -> ir.Value:
    """`dequantize_per_channel(q, scales, zero_points?, axis, low, high, dtype)`."""
    return _dequantize(ctx, per_channel=True)


@lowers(_PREFIX + "choose_qparams.tensor", _PREFIX + "choose_qparams_symmetric.tensor")
def choose_qparams(ctx: Lowering) -> ir.Value:
    """`choose_qparams(x, …)`, which no constant can stand for."""
    raise Refusal(_DYNAMIC)
