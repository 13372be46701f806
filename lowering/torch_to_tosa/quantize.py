"""PT2E's quantize/dequantize ops become `quant` casts, with the parameters in the type."""

from __future__ import annotations

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import QuantParams, element_of, shape_of
from tosaic.lowering.ops import Lowering, Refusal, lowers

_PREFIX = "torch.quantized_decomposed."


def _params(ctx: Lowering, stored: ir.Type, *, per_channel: bool, signed: bool) -> QuantParams:
    if not per_channel:
        return QuantParams(
            stored.width,
            signed,
            ctx.integer(3),
            ctx.integer(4),
            (ctx.real(1),),
            (ctx.integer(2),),
        )
    scales = ctx.constant(1).astype(float).reshape(-1)
    zeros = [0] * scales.size if ctx.is_none(2) else ctx.constant(2).reshape(-1)
    return QuantParams(
        stored.width,
        signed,
        ctx.integer(4),
        ctx.integer(5),
        tuple(float(s) for s in scales),
        tuple(int(z) for z in zeros),
        ctx.dim(3, len(shape_of(ctx.tensor(0)))),
    )


def _stored_signed(value: ir.Value) -> bool:
    return ",ui" not in str(value.type)


def quantize_params(ctx: Lowering) -> QuantParams:
    """Return what a `quantize_per_tensor` op quantises to."""
    signed = _stored_signed(ctx.op.results[0])
    return _params(ctx, ctx.out_element(), per_channel=False, signed=signed)


def _quantize(ctx: Lowering, *, per_channel: bool) -> ir.Value:
    signed = _stored_signed(ctx.op.results[0])
    params = _params(ctx, ctx.out_element(), per_channel=per_channel, signed=signed)
    # MLIR folds dcast(qcast(x)) to x, which forgets the rounding; the identity keeps them apart.
    barrier = ctx.b.unary("tosa.identity", ctx.b.qcast(ctx.tensor(0), params.type()))
    return ctx.b.storage(barrier)


def _dequantize(ctx: Lowering, *, per_channel: bool) -> ir.Value:
    x = ctx.tensor(0)
    if str(ctx.out_element()) != "f32":
        raise Refusal(f"dequantising to {ctx.out_element()} has no lowering; use float32")
    signed = _stored_signed(ctx.op.operands[0])
    params = _params(ctx, element_of(x), per_channel=per_channel, signed=signed)
    return ctx.b.dcast(ctx.b.scast(x, params.type()))


@lowers(_PREFIX + "quantize_per_tensor")
def quantize_per_tensor(ctx: Lowering) -> ir.Value:
    """`quantize_per_tensor(x, scale, zero_point, low, high, dtype)`."""
    return _quantize(ctx, per_channel=False)


@lowers(_PREFIX + "dequantize_per_tensor")
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
