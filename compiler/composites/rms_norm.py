"""RMS norms and L2 normalisation; Zhang and Sennrich, arXiv:1910.07467.

Quantised op by op, the square and the root would leave few of 8 bits.
"""

from __future__ import annotations

import math

import torch
from torch.fx import Node

from tosaic.composites.composite import composes
from tosaic.composites.rows import Rows, as_parameter, behind, filled, norm_under, small
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import bound, is_constant, is_number
from tosaic.graph.match import (
    Argument,
    Bindings,
    Number,
    Tensor,
    add,
    call,
    div,
    either,
    mul,
)

aten = torch.ops.aten

X, DIMS, KEPT, EPSILON = Tensor("x"), Argument("dims"), Argument("keepdim"), Number("epsilon")
_MEAN = call(aten.mean.dim, mul(X, X), DIMS, KEPT)
_ROOT = call(aten.sqrt.default, _MEAN)
_LENGTH = either(
    call(aten.linalg_vector_norm.default, X, 2, DIMS, KEPT),
    call(aten.sqrt.default, call(aten.sum.dim_IntList, mul(X, X), DIMS, KEPT)),
)


@composes(
    "an RMS norm",
    mul(X, call(aten.rsqrt.default, add(_MEAN, EPSILON))),
    div(X, call(aten.sqrt.default, add(_MEAN, EPSILON))),
)
def rms_norm(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``x * rsqrt(mean(x * x) + epsilon)``."""
    rows = Rows(e, parts["x"], parts["dims"], parts["keepdim"])
    return _norm(e, rows, parts["epsilon"])


@composes(
    "an RMS norm",
    mul(X, call(aten.rsqrt.default, call(aten.clamp_min.default, _MEAN, EPSILON))),
    mul(X, call(aten.rsqrt.default, call(aten.clamp.default, _MEAN, EPSILON))),
    exact=False,
)
def at_least(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``x * rsqrt(max(mean(x * x), epsilon))``."""
    rows = Rows(e, parts["x"], parts["dims"], parts["keepdim"])
    return _norm(e, rows, small(parts["epsilon"]))


@composes("an RMS norm", mul(mul(X, Tensor("weight")), call(aten.rsqrt.default, Tensor("spread"))))
def weight_first(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """A constant factor goes behind the norm."""
    if not is_constant(parts["weight"]) or is_constant(parts["x"]):
        return None
    unit = e(aten.mul.Tensor, parts["x"], e(aten.rsqrt.default, parts["spread"]))
    return e(aten.mul.Tensor, unit, parts["weight"])


@composes("an RMS norm", mul(X, call(aten.rsqrt.default, _MEAN)), exact=False)
def bare(e: Emitter, node: Node, parts: Bindings) -> Node:
    """The same without epsilon."""
    rows = Rows(e, parts["x"], parts["dims"], parts["keepdim"])
    return _norm(e, rows, 0.0)


@composes(
    "an RMS norm",
    div(X, add(_ROOT, EPSILON)),
    div(X, call(aten.clamp_min.default, _ROOT, EPSILON)),
    div(X, call(aten.clamp.default, _ROOT, EPSILON)),
    exact=False,
)
def epsilon_outside(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``x / (sqrt(mean(x * x)) + epsilon)``."""
    rows = Rows(e, parts["x"], parts["dims"], parts["keepdim"])
    return _norm(e, rows, small(parts["epsilon"]) ** 2)


_SCALED = mul(_LENGTH, Number("scale"))
_LIMITED_SCALED = either(
    call(aten.clamp_min.default, _SCALED, EPSILON),
    call(aten.clamp.default, _SCALED, EPSILON),
    add(_SCALED, EPSILON),
)


@composes("an RMS norm", div(X, _LIMITED_SCALED), exact=False)
def scaled_length(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``x / max(norm(x) * scale, epsilon)``, the scale being one over a root of the size, say."""
    rows = Rows(e, parts["x"], parts["dims"], parts["keepdim"])
    size, scale = math.prod(rows.shape), parts["scale"]
    epsilon = (small(parts["epsilon"]) / scale) ** 2 / size
    gain = 1 / (math.sqrt(size) * scale)
    return _norm(e, rows, epsilon, None if math.isclose(gain, 1, rel_tol=1e-6) else gain)


_LIMITED = either(
    call(aten.clamp_min.default, _LENGTH, EPSILON),
    call(aten.clamp.default, _LENGTH, EPSILON),
    add(_LENGTH, EPSILON),
)


@composes(
    "an L2 normalisation",
    div(X, _LIMITED),
    div(X, call(aten.expand.default, _LIMITED, Argument("sizes"))),
    exact=False,
)
def unit_length(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``x / max(norm(x), epsilon)``, as `F.normalize` writes it."""
    rows = Rows(e, parts["x"], parts["dims"], parts["keepdim"])
    size = math.prod(rows.shape)
    epsilon = small(parts["epsilon"]) ** 2 / size
    return _norm(e, rows, epsilon, gain=1 / math.sqrt(size))


@composes(
    "an L2 normalisation",
    div(X, _LENGTH),
    mul(X, call(aten.rsqrt.default, call(aten.sum.dim_IntList, mul(X, X), DIMS, KEPT))),
    exact=False,
)
def bare_length(e: Emitter, node: Node, parts: Bindings) -> Node:
    """The same without epsilon."""
    rows = Rows(e, parts["x"], parts["dims"], parts["keepdim"])
    return _norm(e, rows, 0.0, gain=1 / math.sqrt(math.prod(rows.shape)))


def _norm(e: Emitter, rows: Rows, epsilon: float, gain: float | None = None) -> Node:
    weight = None if gain is None else filled(e, rows.shape, gain)
    return rows.back(e(aten.rms_norm.default, rows.x, rows.shape, weight, epsilon))


@composes("an RMS norm", mul(Tensor("norm"), Argument("factor")))
def weighted(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """A norm times a constant: its weight."""
    found, factor = norm_under(parts["norm"], aten.rms_norm.default), parts["factor"]
    if found is None:
        return None
    norm, order = found
    x, shape, weight, epsilon = bound(norm).values()
    if is_number(factor):
        fresh = filled(e, shape, factor) if weight is None else e(aten.mul.Tensor, weight, factor)
    else:
        given = as_parameter(e, factor, order, shape)
        if given is None:
            return None
        fresh = given if weight is None else e(aten.mul.Tensor, weight, given)
    new = e(aten.rms_norm.default, x, shape, fresh, *([] if epsilon is None else [epsilon]))
    return behind(e, parts["norm"], norm, new)
