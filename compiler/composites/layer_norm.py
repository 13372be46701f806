"""Layer norms; Ba, Kiros and Hinton, arXiv:1607.06450."""

from __future__ import annotations

import math

import torch
from torch.fx import Node

from tosaic.composites.composite import composes, finds
from tosaic.composites.rows import (
    Rows,
    as_parameter,
    behind,
    changed_parameters,
    constant_of,
    filled,
    norm_under,
    small,
)
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


@composes(
    "a layer norm",
    mul(Tensor("norm"), Argument("factor")),
    add(Tensor("norm"), Argument("shift")),
)
def affine(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """A norm times a constant, or plus one: its weight and bias."""
    found, value = norm_under(parts["norm"], aten.layer_norm.default), constant_of(parts)
    if found is None:
        return None
    norm, order = found
    x, shape, weight, bias, epsilon, *_ = bound(norm).values()
    given = filled(e, shape, value) if is_number(value) else as_parameter(e, value, order, shape)
    if given is None:
        return None
    weight, bias = changed_parameters(e, parts, given, weight, bias)
    return behind(
        e, parts["norm"], norm, e(aten.layer_norm.default, x, shape, weight, bias, epsilon)
    )


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
