"""Scaled dot-product attention in parts, by one form for all who write it; Vaswani et al., 2017."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from tosaic.composites.composite import decomposes, finds
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import (
    arguments,
    is_bool,
    is_call,
    is_floating,
    is_number,
    is_static,
    rank_of,
    shape_of,
)

aten = torch.ops.aten
_MOVING = (aten.reshape.default, aten.permute.default, aten.expand.default, aten.slice.Tensor)


@decomposes(aten.scaled_dot_product_attention.default)
def attention(
    e: Emitter,
    q: Node,
    k: Node,
    v: Node,
    mask: Node | None = None,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Node | None:
    """Scores, their softmax, and the product with the values; masks as people write them."""
    if dropout:
        return None
    heads = shape_of(q)[-3] if rank_of(q) > 2 else 1
    keys, values = (_repeated(e, x, heads) if enable_gqa else x for x in (k, v))
    swapped = [*range(rank_of(keys) - 2), rank_of(keys) - 1, rank_of(keys) - 2]
    scores = e(aten.matmul.default, q, e(aten.permute.default, keys, swapped))
    factor = e.shape(q)[-1] ** -0.5 if scale is None else scale
    scores = e(aten.mul.Tensor, scores, factor)
    if causal:
        later = torch.ones(e.shape(scores)[-2:], dtype=torch.bool).triu(1)
        never = e.constant("_causal_mask", later)
        scores = e(aten.masked_fill.Scalar, scores, never, -torch.inf)
    elif mask is not None and is_bool(mask):
        never = e(aten.logical_not.default, mask)
        scores = e(aten.masked_fill.Scalar, scores, never, -torch.inf)
    elif mask is not None:
        scores = e(aten.add.Tensor, scores, mask)
    weights = e(aten.softmax.int, scores, rank_of(scores) - 1)
    return e(aten.matmul.default, weights, values)


def _repeated(e: Emitter, x: Node, heads: int) -> Node:
    """Return keys or values [..., H, L, E] with each head as often as it takes to have `heads`."""
    given = e.shape(x)
    if given[-3] == heads:
        return x
    *batch, own, length, size = given
    apart = e(aten.reshape.default, x, [*batch, own, 1, length, size])
    wide = e(aten.expand.default, apart, [*batch, own, heads // own, length, size])
    return e(aten.reshape.default, wide, [*batch, heads, length, size])


# --- products of many matrices ------------------------------------------------------------------


@finds("attention", aten.matmul.default, exact=False)
def apart(e: Emitter, node: Node) -> Node | None:
    """A product of matrices whose leading dims were merged: of what was merged."""
    x, y = arguments(node)
    left, right = _merged(x), _merged(y)
    if left is None or right is None or rank_of(node) != 3:
        return None
    if shape_of(left)[:-2] != shape_of(right)[:-2]:
        return None
    return e(aten.reshape.default, e(aten.matmul.default, left, right), shape_of(node))


def _merged(value: Any) -> Node | None:
    """Return x [..., M, N] where `value` is x as [B, M, N]."""
    if not is_call(value, aten.reshape.default) or not is_static(arguments(value)[0]):
        return None
    x = arguments(value)[0]
    fits = rank_of(x) > 3 and rank_of(value) == 3 and shape_of(x)[-2:] == shape_of(value)[-2:]
    return x if fits else None


@finds("attention", aten.permute.default, exact=False)
def inside(e: Emitter, node: Node) -> Node | None:
    """Matrices transposed after their leading dims were merged: before."""
    value, order = arguments(node)
    x = _merged(value)
    if x is None or list(order) != [0, 2, 1]:
        return None
    outer = list(range(rank_of(x) - 2))
    swapped = e(aten.permute.default, x, [*outer, len(outer) + 1, len(outer)])
    return e(aten.reshape.default, swapped, shape_of(node))


@finds("attention with shared heads", aten.matmul.default, exact=False)
def by_group(e: Emitter, node: Node) -> Node | None:
    """A product with copies of a matrix: all rows that meet one copy meet the matrix itself."""
    x, y = arguments(node)
    found = _copies(e, y)
    if found is None or rank_of(x) != rank_of(node) or not is_static(x):
        return None
    single, times = found
    *batch, heads, rows, inner = shape_of(x)
    if [*batch, heads] != shape_of(y)[:-2]:
        return None
    stacked = e(aten.reshape.default, x, [*batch, heads // times, times * rows, inner])
    out = e(aten.matmul.default, stacked, single)
    return e(aten.reshape.default, out, shape_of(node))


def _copies(e: Emitter, y: Any) -> tuple[Node, int] | None:
    """Return (x [..., G, M, N], n) where `y` is x with each of its G matrices n times in a row."""
    if not is_static(y) or rank_of(y) < 3:
        return None
    rank = rank_of(y)
    swapped = [*range(rank - 2), rank - 1, rank - 2]
    is_swapped = is_call(y, aten.permute.default) and list(arguments(y)[1]) == swapped
    whole = arguments(y)[0] if is_swapped else y
    if not is_call(whole, aten.reshape.default):
        return None
    expand = arguments(whole)[0]
    if not is_call(expand, aten.expand.default):
        return None
    source = arguments(expand)[0]
    wide, thin = shape_of(expand), shape_of(source)
    if len(thin) != rank + 1 or thin[-3] != 1 or wide[:-3] != thin[:-3] or wide[-2:] != thin[-2:]:
        return None
    times = wide[-3]
    if [*thin[:-4], thin[-4] * times, *thin[-2:]] != shape_of(whole) or times == 1:
        return None
    single = e(aten.reshape.default, source, [*thin[:-3], *thin[-2:]])
    return (e(aten.permute.default, single, swapped) if is_swapped else single), times


@finds("a product", aten.div.Tensor, exact=False)
def by_number(e: Emitter, node: Node) -> Node | None:
    """Over a number: times its inverse."""
    x, number = arguments(node)[:2]
    if len(node.args) != 2 or not is_number(number) or not number or not is_floating(x):
        return None
    return e(aten.mul.Tensor, x, 1 / number)


# --- constant factors ---------------------------------------------------------------------------


@finds("attention", aten.matmul.default, exact=False)
def scale_behind(e: Emitter, node: Node) -> Node | None:
    """A constant factor of one operand is one of the product."""
    for place, value in enumerate(arguments(node)):
        found = _scaled(value)
        if found is not None:
            operands = list(arguments(node))
            operands[place] = found[0]
            return e(aten.mul.Tensor, e(aten.matmul.default, *operands), found[1])
    return None


@finds("attention", *_MOVING, exact=False)
def scale_behind_moved(e: Emitter, node: Node) -> Node | None:
    """A constant factor of what a product reads goes behind what moves it."""
    x, *rest = arguments(node)
    found = _scaled(x)
    if found is None or not _reaches_product(node):
        return None
    return e(aten.mul.Tensor, e(node.target, found[0], *rest), found[1])


def _scaled(value: Any) -> tuple[Node, float] | None:
    """Return (x, c) where `value` is x times a number, or over one, and read once."""
    if not is_call(value, aten.mul.Tensor, aten.div.Tensor) or len(value.users) != 1:
        return None
    x, factor = arguments(value)
    if not is_number(factor) or not factor or not is_floating(x):
        return None
    return x, factor if value.target is aten.mul.Tensor else 1 / factor


def _reaches_product(node: Node) -> bool:
    """Whether all that reads `node`, perhaps moved, are products of activations."""
    work = [node]
    while work:
        for user in work.pop().users:
            if user.target in _MOVING:
                work.append(user)
            elif user.target is not aten.matmul.default:
                return False
    return True
