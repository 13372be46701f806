"""Softmax and its logarithm spelled out."""

from __future__ import annotations

import operator

import torch
from torch.fx import Node

from tosaic.composites.composite import NearMiss, composes
from tosaic.composites.masked_softmax import is_shift, truth
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import rank_of, shape_of
from tosaic.graph.match import Argument, Bindings, Tensor, call, div, either, mul, sub

aten = torch.ops.aten
X, DIMS, KEPT = Tensor("x"), Argument("dims"), Argument("keepdim")
_LARGEST = either(
    call(aten.amax.default, X, DIMS, KEPT),
    call(operator.getitem, call(aten.max.dim, X, Argument("dim"), KEPT), 0),
)
_POWERS = either(call(aten.exp.default, sub(X, _LARGEST)), call(aten.exp.default, X))
_TOTAL = call(aten.sum.dim_IntList, _POWERS, DIMS, KEPT)
_VISIBLE = mul(_POWERS, Tensor("mask"))


@composes("softmax", div(_POWERS, _TOTAL), mul(_POWERS, call(aten.reciprocal.default, _TOTAL)))
def softmax(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``exp(x - max(x)) / sum(exp(x - max(x)))``."""
    return e(aten.softmax.int, parts["x"], _one_dim(parts))


@composes(
    "log-softmax",
    call(aten.log.default, call(aten.softmax.int, X, Argument("dim"))),
    sub(X, call(aten.logsumexp.default, X, DIMS, KEPT)),
)
def log_softmax(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``log(softmax(x))``, or ``x - logsumexp(x)``."""
    return e(aten.log_softmax.int, parts["x"], parts.get("dim") or _one_dim(parts))


@composes(
    "softmax of masked scores",
    div(_VISIBLE, call(aten.sum.dim_IntList, _VISIBLE, DIMS, KEPT)),
    exact=False,
)
def masked_powers(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """Powers times a mask of zeros and ones, over their sum."""
    visible = truth(e, parts["mask"])
    if visible is None:
        return None
    hidden = e(aten.logical_not.default, visible)
    scores = e(aten.masked_fill.Scalar, parts["x"], hidden, -torch.inf)
    return e(aten.softmax.int, scores, _one_dim(parts))


def _one_dim(parts: Bindings) -> int:
    dims, rank = parts["dims"], rank_of(parts["x"])
    numbers = [dims] if isinstance(dims, int) else list(dims)
    if len(numbers) != 1 or not parts["keepdim"]:
        raise NearMiss("it does not go over one dim, which is kept")
    if parts.get("dim", numbers[0]) != numbers[0]:
        raise NearMiss("its maximum is over another dim than its sum")
    return int(numbers[0]) % rank


@composes("softmax", call(aten.softmax.int, sub(X, Tensor("shift")), Argument("along")))
def shifted(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """Softmax of rows less a number each, such as their maximum: of the rows."""
    x, dim = parts["x"], parts["along"]
    alike = shape_of(x) == shape_of(node)  # else there are more rows than x has
    return e(aten.softmax.int, x, dim) if alike and is_shift(x, parts["shift"], dim) else None


@composes("softmax", call(aten.exp.default, call(aten.log_softmax.int, X, Argument("along"))))
def power_of_logarithm(e: Emitter, node: Node, parts: Bindings) -> Node:
    """``exp(log_softmax(x))``."""
    return e(aten.softmax.int, parts["x"], parts["along"])


@composes("softmax", div(call(aten.matmul.default, _POWERS, Tensor("values")), _TOTAL))
def normalized_last(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """A product with values whose powers are divided by their sums behind it."""
    dim = _one_dim(parts)
    if dim != rank_of(parts["x"]) - 1:
        return None
    return e(aten.matmul.default, e(aten.softmax.int, parts["x"], dim), parts["values"])


_ROWS = Tensor("x")
_NOTHING = call(
    aten.logical_not.default,
    call(
        aten.any.dim,
        either(
            call(aten.logical_not.default, call(aten.eq.Scalar, _ROWS, -float("inf"))),
            call(aten.ne.Scalar, _ROWS, -float("inf")),
        ),
        Argument("dim"),
        True,
    ),
)
_SOME = call(aten.any.dim, call(aten.ne.Scalar, _ROWS, -float("inf")), Argument("dim"), True)
_ZERO = either(call(aten.full_like.default, Tensor("shape"), 0), Tensor("zeros"))


@composes(
    "softmax of rows that may be hidden",
    call(aten.where.self, _SOME, call(aten.softmax.int, _ROWS, Argument("dim")), _ZERO),
    call(aten.where.self, _NOTHING, _ZERO, call(aten.softmax.int, _ROWS, Argument("dim"))),
)
def safe_softmax(e: Emitter, node: Node, parts: Bindings) -> Node | None:
    """Softmax, zero where all of a row is minus infinity, as attention is decomposed."""
    zeros = e.value(parts["zeros"]) if "zeros" in parts else None
    if "zeros" in parts and (zeros is None or bool(zeros.any())):
        return None
    return e(aten._safe_softmax.default, parts["x"], parts["dim"])
