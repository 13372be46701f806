"""Scaled dot-product attention, softmax under a mask, gated linear units; Vaswani et al., 2017."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import (
    DYNAMIC,
    QuantParams,
    constant_value,
    element_of,
    i,
    is_signless_integer,
    is_static,
    shape_of,
)
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.quantization.softmax import Mask
from tosaic.lowering.quantization.softmax import softmax as integer_softmax
from tosaic.lowering.torch_to_tosa.linear import matmul, summed_products
from tosaic.lowering.torch_to_tosa.normalization import safe_softmax_over, softmax_over
from tosaic.lowering.tosa.evaluate import known_value


@lowers("torch.aten.scaled_dot_product_attention")
def attention(ctx: Lowering) -> ir.Value:
    """`scaled_dot_product_attention(q, k, v, mask?, dropout, causal, scale?, gqa)`.

    The quantiser takes it apart beforehand (tosaic.composites.attention), so that every product is
    quantised on its own.
    """
    b, q, k, v = ctx.b, ctx.tensor(0), ctx.tensor(1), ctx.tensor(2)
    if ctx.real(4) != 0:
        raise Refusal("it drops out at random; call model.eval() before exporting")
    if ctx.flag(7):
        k, v = (_repeated_heads(b, x, shape_of(q)[-3]) for x in (k, v))
    depth = shape_of(q)[-1]
    if ctx.is_none(6) and depth == DYNAMIC:
        raise Refusal("its scale depends on a dynamic dim; specialise the shapes")
    scale = depth**-0.5 if ctx.is_none(6) else ctx.real(6)
    rank = len(shape_of(k))
    scores = summed_products(b, q, b.transpose(k, [*range(rank - 2), rank - 1, rank - 2]))
    scores = b.mul(scores, b.splat(scores, scale))
    if ctx.flag(5):
        rows, columns = shape_of(scores)[-2:]
        if DYNAMIC in (rows, columns):
            raise Refusal("causal attention over a dynamic length; specialise the shapes")
        never = np.triu(np.full((rows, columns), -math.inf), 1)
        scores = b.add(scores, b.const(never, element_of(scores)))
    mask, axis = ctx.optional(3), len(shape_of(scores)) - 1
    if mask is None:
        weights = softmax_over(b, scores, axis, log=False)
    else:
        weights = _masked_weights(b, scores, mask, axis)
    return b.reshape(matmul(b, b.cast(weights, element_of(v)), v), ctx.out_shape())


def _masked_weights(b: Builder, scores: ir.Value, mask: ir.Value, axis: int) -> ir.Value:
    """Return the softmax of `scores` under a mask: false or -inf means never, elsewhere added."""
    boolean = is_signless_integer(element_of(mask), 1)
    if boolean:
        scores = b.select(mask, scores, b.splat(scores, -math.inf))
    else:
        scores = b.add(scores, b.cast(mask, element_of(scores)))
    known = known_value(mask)
    allowed = None if known is None else known if boolean else known > -math.inf
    if allowed is not None and allowed.any(-1).all():
        return softmax_over(b, scores, axis, log=False)
    return safe_softmax_over(b, scores, axis)


def _repeated_heads(b: Builder, x: ir.Value, heads: int) -> ir.Value:
    """Give each head of `x` [..., H, L, E] its share of `heads`, next to each other."""
    shape = shape_of(x)
    if DYNAMIC in shape:
        raise Refusal("grouped heads need static shapes; specialise them")
    times = heads // shape[-3]
    outer = int(np.prod(shape[:-2]))
    rows = b.reshape(x, [outer, 1, shape[-2] * shape[-1]])
    return b.reshape(b.tile(rows, [1, times, 1]), [*shape[:-3], heads, *shape[-2:]])


def _integer_masked_softmax(
    ctx: Lowering, x: ir.Value, params: QuantParams, out: QuantParams
) -> ir.Value:
    axis = _masked_axis(ctx, shape_of(x))
    return integer_softmax(ctx.b, x, params, out, axis=axis, mask=_mask(ctx, shape_of(x), axis))


def _masked_axis(ctx: Lowering, shape: list[int]) -> int:
    return len(shape) - 1 if ctx.is_none(2) else ctx.dim(2, len(shape))


def _mask(ctx: Lowering, shape: list[int], axis: int) -> Mask:
    """Return the mask of `_masked_softmax`, not yet broadcast where it is a broadcast."""
    b, mask = ctx.b, ctx.tensor(1)
    while not isinstance(mask.owner, ir.Block) and mask.owner.name == "tosa.tile":
        mask = mask.owner.operands[0]
    source = mask
    while not isinstance(source.owner, ir.Block) and source.owner.name == "tosa.reshape":
        source = source.owner.operands[0]
    known = constant_value(source)
    if known is None:
        return Mask(b.cast(mask, i(8)), 0)
    hidden = known.astype(bool).reshape(shape_of(mask))
    least = 0
    if is_static(shape):
        least = int(np.logical_not(np.broadcast_to(hidden, shape)).sum(axis).min())
    return Mask(b.const(hidden, i(8)), least)


@lowers(
    "torch.aten._masked_softmax",
    "torch.tosaic.masked_softmax",
    quantized=Quantized.COMPOSITE,
    integer=_integer_masked_softmax,
    output_range=(0.0, 1.0),
    precise=True,
)
def masked_softmax(ctx: Lowering) -> ir.Value:
    """`masked_softmax(x, mask, dim?)`: zero where the mask is true, and where a row all is."""
    b, x, mask = ctx.b, ctx.tensor(0), ctx.tensor(1)
    x = b.select(mask, b.splat(x, -math.inf), x)
    return safe_softmax_over(b, x, _masked_axis(ctx, shape_of(x)))


@lowers("torch.prims.convert_element_type")
def convert_element_type(ctx: Lowering) -> ir.Value:
    """`convert_element_type(x, dtype)`: how the importer writes a constant of booleans."""
    b, element = ctx.b, ctx.out_element()
    known = constant_value(replace(ctx, widened=False).tensor(0))
    if known is not None:
        return b.const(known.astype(bool) if element.width == 1 else known, element)
    x = ctx.tensor(0)
    if str(element) == "i1":
        return b.unary("tosa.logical_not", b.compare("tosa.equal", x, b.splat(x, 0)))
    return b.cast(x, element)


@lowers("torch.aten.glu", quantized=Quantized.RESCALED, precise=True)
def glu(ctx: Lowering) -> ir.Value:
    """`glu(x, dim)`: one half times the sigmoid of the other; Dauphin et al., 2017."""
    b, x = ctx.b, ctx.tensor(0)
    shape = shape_of(x)
    axis = ctx.dim(1, len(shape))
    if shape[axis] == DYNAMIC:
        raise Refusal("it halves a dynamic dim; specialise the shapes")
    shape[axis] //= 2
    begin = [0] * len(shape)
    first = b.slice(x, begin, shape)
    begin[axis] = shape[axis]
    gate = b.slice(x, begin, shape)
    return b.mul(first, b.unary("tosa.sigmoid", gate))
