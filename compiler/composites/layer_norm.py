"""Layer norms; Ba, Kiros and Hinton, arXiv:1607.06450."""

from __future__ import annotations

import math

import torch
from torch.fx import Node

from tosaic.composites.composite import composes, finds
from tosaic.composites.rows import Rows, as_parameter, behind, filled, norm_under, small
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import (
    arguments,
    bound,
    is_constant,
    is_number,
    is_static,
    rank_of,
    shape_of,
)
from tosaic.graph.match import (
    Argument,
    Bindings,
    Number,
    Pattern,
    Tensor,
    add,
    call,
    div,
    either,
    mul,
    sub,
)

aten = torch.ops.aten

X, DIMS, KEPT, EPSILON = Tensor("x"), Argument("dims"), Argument("keepdim"), Number("epsilon")
_MEAN = call(aten.mean.dim, X, DIMS, KEPT)
_CENTRED = sub(X, _MEAN)


def _spread(target: object) -> tuple[Pattern, ...]:
    return (
        call(target, X, DIMS, correction=0, keepdim=True),
        call(target, _CENTRED, DIMS, correction=0, keepdim=True),
    )


_DIFFERENCE = sub(call(aten.mean.dim, mul(X, X), DIMS, KEPT), mul(_MEAN, _MEAN))
_VARIANCE = either(
    call(aten.mean.dim, mul(_CENTRED, _CENTRED), DIMS, KEPT),
    *_spread(aten.var.correction),
    _DIFFERENCE,
    call(aten.clamp.default, _DIFFERENCE, 0),
    call(aten.clamp_min.default, _DIFFERENCE, 0),
    call(aten.relu.default, _DIFFERENCE),
)
_DEVIATION = either(call(aten.sqrt.default, _VARIANCE), *_spread(aten.std.correction))
_OF_SAMPLE = either(
    call(aten.std.correction, X, DIMS, keepdim=True),
    call(aten.std.correction, X, DIMS, correction=1, keepdim=True),
)


@composes(
    "a layer norm",
    mul(_CENTRED, call(aten.rsqrt.default, add(_VARIANCE, EPSILON))),
    div(_CENTRED, call(aten.sqrt.default, add(_VARIANCE, EPSILON))),
)
def layer_norm(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``(x - mean(x)) * rsqrt(var(x) + epsilon)``."""
    rows = Rows(e, parts["x"], parts["dims"], parts["keepdim"])
    return _norm(e, rows, parts["epsilon"])


@composes("a layer norm", div(_CENTRED, add(_DEVIATION, EPSILON)), exact=False)
def epsilon_outside(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``(x - mean(x)) / (std(x) + epsilon)``."""
    rows = Rows(e, parts["x"], parts["dims"], parts["keepdim"])
    return _norm(e, rows, small(parts["epsilon"]) ** 2)


@composes(
    "a layer norm",
    div(_CENTRED, add(_OF_SAMPLE, EPSILON)),
    exact=False,
)
def of_a_sample(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """The same with the deviation of a sample, which is larger by a constant factor."""
    rows = Rows(e, parts["x"], parts["dims"], parts["keepdim"])
    count = math.prod(rows.shape)
    if count < 2:
        return None
    gain = math.sqrt((count - 1) / count)
    return _norm(e, rows, (small(parts["epsilon"]) * gain) ** 2, gain)


def _norm(e: Emitter, rows: Rows, epsilon: float, gain: float | None = None) -> Node:
    weight = None if gain is None else filled(e, rows.shape, gain)
    return rows.back(e(aten.layer_norm.default, rows.x, rows.shape, weight, None, epsilon))


@composes(
    "a layer norm",
    add(mul(X, Tensor("scale")), sub(Tensor("bias"), mul(_MEAN, Tensor("scale")))),
    sub(mul(X, Tensor("scale")), sub(mul(_MEAN, Tensor("scale")), Tensor("bias"))),
)
def scale_and_shift(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """``x * scale + (bias - mean(x) * scale)``: the mean is subtracted first, then scaled."""
    if is_constant(parts["scale"]) or not is_constant(parts["bias"]):
        return None
    mean = e(aten.mean.dim, parts["x"], parts["dims"], *([True] if parts["keepdim"] else []))
    centred = e(aten.sub.Tensor, parts["x"], mean)
    return e(aten.add.Tensor, e(aten.mul.Tensor, centred, parts["scale"]), parts["bias"])


@composes(
    "a layer norm",
    mul(_CENTRED, mul(call(aten.rsqrt.default, Tensor("spread")), Tensor("weight"))),
)
def weight_first(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """A constant factor of the inverse deviation goes behind the norm."""
    if not is_constant(parts["weight"]) or is_constant(parts["spread"]):
        return None
    root = e(aten.rsqrt.default, parts["spread"])
    (centred,) = (v for v in arguments(node) if v.target is aten.sub.Tensor)
    return e(aten.mul.Tensor, e(aten.mul.Tensor, centred, root), parts["weight"])


@composes(
    "a layer norm",
    call(aten.rms_norm.default, _CENTRED, Argument("shape"), Argument("weight"), EPSILON),
    call(aten.rms_norm.default, _CENTRED, Argument("shape"), None, EPSILON),
)
def of_centred(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """An RMS norm of what has its mean subtracted, over the same dims."""
    shape, rank = list(parts["shape"]), rank_of(parts["x"])
    dims = [parts["dims"]] if isinstance(parts["dims"], int) else list(parts["dims"])
    if sorted(dims) != list(range(rank - len(shape), rank)) or not parts["keepdim"]:
        return None
    weight, epsilon = parts.get("weight"), parts["epsilon"]
    return e(aten.layer_norm.default, parts["x"], shape, weight, None, epsilon)


@composes("a layer norm", mul(Tensor("norm"), Argument("factor")))
def weighted(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """A norm times a constant: its weight, and part of its bias."""
    found, factor = norm_under(parts["norm"], aten.layer_norm.default), parts["factor"]
    if found is None:
        return None
    norm, order = found
    x, shape, weight, bias, epsilon, *_ = bound(norm).values()
    given = filled(e, shape, factor) if is_number(factor) else as_parameter(e, factor, order, shape)
    if given is None:
        return None
    fresh = given if weight is None else e(aten.mul.Tensor, weight, given)
    moved = None if bias is None else e(aten.mul.Tensor, bias, given)
    return behind(
        e, parts["norm"], norm, e(aten.layer_norm.default, x, shape, fresh, moved, epsilon)
    )


@composes("a layer norm", add(Tensor("norm"), Argument("shift")))
def biased(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """A norm plus a constant: its bias."""
    found, shift = norm_under(parts["norm"], aten.layer_norm.default), parts["shift"]
    if found is None:
        return None
    norm, order = found
    x, shape, weight, bias, epsilon, *_ = bound(norm).values()
    given = filled(e, shape, shift) if is_number(shift) else as_parameter(e, shift, order, shape)
    if given is None:
        return None
    if weight is None:
        weight = filled(e, shape, 1.0)
    fresh = given if bias is None else e(aten.add.Tensor, bias, given)
    return behind(
        e, parts["norm"], norm, e(aten.layer_norm.default, x, shape, weight, fresh, epsilon)
    )


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


@composes("a group norm", mul(Tensor("norm"), Tensor("factor")))
def weighted_groups(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """A group norm times a constant for each channel: its weight."""
    found, factor = _group_norm(parts["norm"]), parts["factor"]
    given = None if found is None else _by_channel(e, found, factor)
    if found is None or given is None:
        return None
    x, groups, weight, bias, epsilon, *_ = bound(found).values()
    fresh = given if weight is None else e(aten.mul.Tensor, weight, given)
    moved = None if bias is None else e(aten.mul.Tensor, bias, given)
    return e(aten.group_norm.default, x, groups, fresh, moved, epsilon)


@composes("a group norm", add(Tensor("norm"), Tensor("shift")))
def biased_groups(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """A group norm plus a constant for each channel: its bias."""
    found, shift = _group_norm(parts["norm"]), parts["shift"]
    given = None if found is None else _by_channel(e, found, shift)
    if found is None or given is None:
        return None
    x, groups, weight, bias, epsilon, *_ = bound(found).values()
    fresh = given if bias is None else e(aten.add.Tensor, bias, given)
    if weight is None:
        weight = filled(e, shape_of(given), 1.0)
    return e(aten.group_norm.default, x, groups, weight, fresh, epsilon)


@finds("a layer norm", aten.group_norm.default)
def one_group(e: Emitter, node: Node) -> Node | None:
    """A group norm of all channels of a matrix."""
    x, groups, weight, bias, epsilon, *_ = bound(node).values()
    if groups != 1 or rank_of(x) != 2 or not isinstance(shape_of(x)[1], int):
        return None
    return e(aten.layer_norm.default, x, [shape_of(x)[1]], weight, bias, epsilon)


@finds("a layer norm", aten.reshape.default)
def of_merged_rows(e: Emitter, node: Node) -> Node | None:
    """A layer norm between reshapes that only merge rows: without them."""
    norm = arguments(node)[0]
    if norm.target is not aten.layer_norm.default or not is_static(node):
        return None
    rows, shape, *rest = arguments(norm)
    if rows.target is not aten.reshape.default or len(norm.users) != 1:
        return None
    x = arguments(rows)[0]
    if shape_of(x) != shape_of(node) or shape_of(x)[-len(shape) :] != list(shape):
        return None
    return e(aten.layer_norm.default, x, shape, *rest)


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


def _group_norm(value: Node) -> Node | None:
    return value if value.target is aten.group_norm.default and len(value.users) == 1 else None


def _by_channel(e: Emitter, norm: Node, value: Node) -> Node | None:
    """Return a constant of one value for each channel (dim 1) as a vector."""
    rank, channels = len(shape_of(norm)), shape_of(norm)[1]
    others = [0, *range(2, rank)]
    return as_parameter(e, value, [*others, 1], [channels])
