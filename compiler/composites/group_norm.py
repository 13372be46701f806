"""Group norms and instance norms; Wu and He, arXiv:1803.08494."""

from __future__ import annotations

import torch
from torch.fx import Node

from tosaic.composites.composite import composes, finds
from tosaic.composites.rows import as_parameter, changed_parameters, constant_of
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import arguments, bound, rank_of, shape_of
from tosaic.graph.match import Argument, Bindings, Number, Tensor, add, call, mul

aten = torch.ops.aten
EPSILON = Number("epsilon")


@composes(
    "a group norm",
    call(
        aten.reshape.default,
        call(aten.layer_norm.default, Tensor("rows"), Argument("shape"), None, None, EPSILON),
        Argument("sizes"),
    ),
    call(
        aten.reshape.default,
        call(aten.layer_norm.default, Tensor("rows"), Argument("shape")),
        Argument("sizes"),
    ),
)
def group_norm(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """A layer norm of groups of channels that are rows, [N, groups, ...] of [N, channels, ...]."""
    rows = parts["rows"]
    if rows.target is not aten.reshape.default:
        return None
    x = arguments(rows)[0]
    shape, grouped = shape_of(x), shape_of(rows)
    outer = len(grouped) - len(parts["shape"])
    is_grouped = outer == 2 and len(shape) > 2 and grouped[0] == shape[0] == shape_of(node)[0]
    if not is_grouped or shape_of(node) != shape or shape[1] % grouped[1]:
        return None
    return e(aten.group_norm.default, x, grouped[1], None, None, parts.get("epsilon", 1e-5))


@composes(
    "a group norm", mul(Tensor("norm"), Tensor("factor")), add(Tensor("norm"), Tensor("shift"))
)
def affine(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """A group norm times a constant for each channel, or plus one: its weight and bias."""
    norm = parts["norm"]
    if norm.target is not aten.group_norm.default or len(norm.users) != 1:
        return None
    others = [0, *range(2, rank_of(norm))]
    given = as_parameter(e, constant_of(parts), [*others, 1], [shape_of(norm)[1]])
    if given is None:
        return None
    x, groups, weight, bias, epsilon, *_ = bound(norm).values()
    weight, bias = changed_parameters(e, parts, given, weight, bias)
    return e(aten.group_norm.default, x, groups, weight, bias, epsilon)


@finds("a group norm", aten.layer_norm.default)
def of_images(e: Emitter, node: Node) -> Node | None:
    """A layer norm over all of each channel, [N, C, ...], without parameters."""
    x, shape, weight, bias, epsilon, *_ = bound(node).values()
    images = rank_of(x) > 3 and len(shape) == rank_of(x) - 2
    if not images or weight is not None or bias is not None or not isinstance(shape_of(x)[1], int):
        return None
    return e(aten.group_norm.default, x, shape_of(x)[1], None, None, epsilon)


@finds("a group norm", aten.instance_norm.default)
def of_instances(e: Emitter, node: Node) -> Node | None:
    """An instance norm by its own statistics: each channel is a group."""
    x, weight, bias, _, _, own, _, epsilon, _ = bound(node).values()
    if not own or not isinstance(shape_of(x)[1], int) or rank_of(x) < 3:
        return None
    return e(aten.group_norm.default, x, shape_of(x)[1], weight, bias, epsilon)
