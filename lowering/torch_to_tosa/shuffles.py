"""Shuffles of channels and pixels, and pads that repeat the input; elements only move."""

from __future__ import annotations

import math

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, Trait, lowers
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import joined, part, static_shape
from tosaic.lowering.torch_to_tosa.windows import pad_or_crop

_SHARED = Quantized.SHARED
_FEW = 8


@lowers("torch.aten.pixel_shuffle", quantized=_SHARED, traits=Trait.MOVES)
def pixel_shuffle(ctx: Lowering) -> ir.Value:
    """`pixel_shuffle(x, factor)`: [..., C*r*r, H, W] to [..., C, H*r, W*r]."""
    b, x, r = ctx.b, ctx.tensor(0), ctx.integer(1)
    *batch, c, h, w = static_shape(ctx.tensor(0))
    c, n = c // (r * r), math.prod(batch)
    y = b.transpose(b.reshape(x, [n * c, r, r, h, w]), (0, 3, 1, 4, 2))
    return b.reshape(y, [*batch, c, h * r, w * r])


@lowers("torch.aten.pixel_unshuffle", quantized=_SHARED, traits=Trait.MOVES)
def pixel_unshuffle(ctx: Lowering) -> ir.Value:
    """`pixel_unshuffle(x, factor)`: [..., C, H*r, W*r] to [..., C*r*r, H, W]."""
    b, x, r = ctx.b, ctx.tensor(0), ctx.integer(1)
    *batch, c, h, w = static_shape(ctx.tensor(0))
    h, w, n = h // r, w // r, math.prod(batch)
    y = b.transpose(b.reshape(x, [n * c, h, r, w, r]), (0, 2, 4, 1, 3))
    return b.reshape(y, [*batch, c * r * r, h, w])


@lowers(
    "torch.aten.channel_shuffle",
    "torch.aten.native_channel_shuffle",
    quantized=_SHARED,
    traits=Trait.MOVES,
)
def channel_shuffle(ctx: Lowering) -> ir.Value:
    """`channel_shuffle(x, groups)`: channel g*K+k moves to k*G+g."""
    b, x, groups = ctx.b, ctx.tensor(0), ctx.integer(1)
    n, c, *rest = static_shape(ctx.tensor(0))
    y = b.reshape(x, [n, groups, c // groups, math.prod(rest)])
    return b.reshape(b.transpose(y, (0, 2, 1, 3)), [n, c, *rest])


_MODES = {"reflection": "reflect", "replication": "replicate", "circular": "circular"}


@lowers(
    *(f"torch.aten.{mode}_pad{n}d" for mode in ("reflection", "replication") for n in (1, 2, 3)),
    "torch.aten._pad_circular",
    quantized=_SHARED,
    traits=Trait.MOVES,
)
def repeating_pad(ctx: Lowering) -> ir.Value:
    """`reflection_pad(x, pads)` and the like."""
    name = aten_name(ctx)
    mode = next(mode for word, mode in _MODES.items() if word in name)
    return padded_by_repeating(ctx, ctx.ints(1), mode)


def padded_by_repeating(ctx: Lowering, pads: list[int], mode: str) -> ir.Value:
    """Return operand 0 padded in `mode` "reflect", "replicate" or "circular".

    `pads` run from the last dim, as for `torch.nn.functional.pad`; negative ones crop.
    """
    static_shape(ctx.tensor(0))
    x = ctx.tensor(0)
    rank = len(shape_of(x))
    for n in range(len(pads) // 2):
        x = _pad_axis(ctx.b, x, rank - 1 - n, pads[2 * n], pads[2 * n + 1], mode)
    return x


def _pad_axis(b: Builder, x: ir.Value, axis: int, before: int, after: int, mode: str) -> ir.Value:
    if mode == "circular":
        x = pad_or_crop(b, x, axis, min(0, before), min(0, after))
        return _extended(b, x, axis, max(0, before), max(0, after), mode)
    # What is cropped at one end may be what the other end repeats.
    x = _extended(b, x, axis, max(0, before), max(0, after), mode)
    return pad_or_crop(b, x, axis, min(0, before), min(0, after))


def _extended(b: Builder, x: ir.Value, axis: int, before: int, after: int, mode: str) -> ir.Value:
    size = shape_of(x)[axis]
    parts = [x]
    if mode == "reflect":
        if before:
            parts.insert(0, _reversed(b, part(b, x, axis, 1, before), axis))
        if after:
            parts.append(_reversed(b, part(b, x, axis, size - 1 - after, after), axis))
    elif mode == "replicate":
        if before:
            parts.insert(0, _repeated(b, part(b, x, axis, 0, 1), axis, before))
        if after:
            parts.append(_repeated(b, part(b, x, axis, size - 1, 1), axis, after))
    elif mode == "circular":
        if before:
            parts.insert(0, part(b, x, axis, size - before, before))
        if after:
            parts.append(part(b, x, axis, 0, after))
    else:
        raise Refusal(f"padding mode '{mode}' has no lowering")
    return joined(b, parts, axis)


def _reversed(b: Builder, x: ir.Value, axis: int) -> ir.Value:
    size = shape_of(x)[axis]
    if size > _FEW:
        return b.reverse(x, axis)
    # Single slices run everywhere; Ethos-U55 reverses H and W only.
    parts = [part(b, x, axis, n, 1) for n in reversed(range(size))]
    return joined(b, parts, axis)


def _repeated(b: Builder, x: ir.Value, axis: int, times: int) -> ir.Value:
    multiples = [1] * len(shape_of(x))
    multiples[axis] = times
    return b.tile(x, multiples)
