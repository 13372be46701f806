"""Arithmetic in one form, and equal expressions once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import (
    INNER,
    arguments,
    bound,
    calls,
    is_bool,
    is_call,
    is_floating,
    is_number,
    is_pure,
    is_static,
    rank_of,
    shape_of,
    tensor_of,
)
from tosaic.graph.passes import GraphPass, register_graph_pass
from tosaic.graph.rules import Rule, RulePass, rule
from tosaic.graph.values import attribute

aten = torch.ops.aten
_TINY = 1e-6  # relative: by which a constant factor may miss one over a count
_FUNCTIONS = (
    *(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.sqrt.default),
    *(aten.rsqrt.default, aten.reciprocal.default, aten.clamp.default, aten.clamp_min.default),
)
_REDUCTIONS = (
    *(aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, aten.amin.default),
    *(aten.var.correction, aten.std.correction, aten.linalg_vector_norm.default),
)


@rule(aten.pow.Tensor_Scalar)
def power(e: Emitter, node: Node) -> Node | None:
    """Powers that have an op of their own."""
    x, exponent = arguments(node)
    if not is_floating(x):
        return e(aten.mul.Tensor, x, x) if exponent == 2 and _keeps_dtype(node, x) else None
    if exponent == 2:
        return e(aten.mul.Tensor, x, x)
    if exponent == 1:
        return x  # type: ignore[no-any-return]
    unary = {0.5: aten.sqrt.default, -0.5: aten.rsqrt.default, -1: aten.reciprocal.default}
    return e(unary[exponent], x) if exponent in unary else None


@rule(aten.square.default)
def square(e: Emitter, node: Node) -> Node:
    """A product."""
    (x,) = arguments(node)
    return e(aten.mul.Tensor, x, x)


@rule(aten.reciprocal.default)
def inverse_root(e: Emitter, node: Node) -> Node | None:
    """One over a root."""
    (x,) = arguments(node)
    return e(aten.rsqrt.default, arguments(x)[0]) if is_call(x, aten.sqrt.default) else None


@rule(aten.div.Tensor)
def quotient(e: Emitter, node: Node) -> Node | None:
    """By a root or a power of two: a product, that is exact as the quotient is."""
    x, y = arguments(node)
    if not is_floating(node):
        return None
    if is_call(y, aten.sqrt.default) and _keeps_dtype(node, y):
        return e(aten.mul.Tensor, x, e(aten.rsqrt.default, arguments(y)[0]))
    if is_number(y) and is_floating(x) and y and math.frexp(y)[0] in (0.5, -0.5):
        return e(aten.mul.Tensor, x, 1 / y)
    return None


@rule(aten.mul.Tensor, aten.div.Tensor)
def by_one(e: Emitter, node: Node) -> Node | None:
    """Times one, over one."""
    x, y = arguments(node)
    return x if is_number(y) and y == 1 and _keeps_dtype(node, x) else None


@rule(aten.add.Tensor, aten.sub.Tensor)
def and_nothing(e: Emitter, node: Node) -> Node | None:
    """Plus zero, minus zero."""
    x, y = arguments(node)[:2]
    return x if is_number(y) and y == 0 and _keeps_dtype(node, x) else None


@rule(aten.mul.Tensor)
def factors(e: Emitter, node: Node) -> Node | None:
    """Two constant factors are one; a power of two in between is exact."""
    x, y = arguments(node)
    if not is_number(y) or not is_call(x, aten.mul.Tensor) or INNER in x.meta:
        return None
    inner, first = arguments(x)
    if not is_number(first) or not is_floating(inner):
        return None
    return e(aten.mul.Tensor, inner, first * y)


@rule(aten.clamp.default)
def limits(e: Emitter, node: Node) -> Node | None:
    """Limits of what has limits."""
    x, low, high = bound(node).values()
    if not is_call(x, aten.clamp.default) or INNER in x.meta or not _keeps_dtype(node, x):
        return None
    source, *inner = bound(x).values()
    if not _in_order(low, high) or not _in_order(*inner) or not _keeps_dtype(x, source):
        return None
    both = [_limited(inner[0], low, high, low), _limited(inner[1], low, high, high)]
    return e(aten.clamp.default, source, *both)


def _in_order(low: Any, high: Any) -> bool:
    given = [v for v in (low, high) if v is not None]
    return all(map(is_number, given)) and given == sorted(given)


def _limited(value: Any, low: Any, high: Any, otherwise: Any) -> Any:
    """Return a limit, if there is one, between two others."""
    if value is None:
        return otherwise
    value = value if low is None else max(value, low)
    return value if high is None else min(value, high)


@rule(aten.add.Tensor, aten.sub.Tensor)
def negative(e: Emitter, node: Node) -> Node | None:
    """Plus minus, minus minus."""
    if len(node.args) != 2 or node.kwargs:
        return None
    x, y = arguments(node)
    if is_call(y, aten.neg.default):
        other = aten.sub.Tensor if node.target is aten.add.Tensor else aten.add.Tensor
        return e(other, x, arguments(y)[0])
    if node.target is aten.add.Tensor and is_call(x, aten.neg.default) and tensor_of(y) is not None:
        return e(aten.sub.Tensor, y, arguments(x)[0])
    return None


@rule(aten.mul.Tensor, aten.div.Tensor)
def average(e: Emitter, node: Node) -> Node | None:
    """A sum over its count."""
    x, y = arguments(node)
    if not is_call(x, aten.sum.dim_IntList) or not is_number(y) or not y or x.kwargs:
        return None
    source, dims, keep = (bound(x)[name] for name in ("self", "dim", "keepdim"))
    if not is_static(source) or not is_floating(source):
        return None
    dims = dims or list(range(rank_of(source)))
    count = math.prod(shape_of(source)[d] for d in dims)
    divisor = y if node.target is aten.div.Tensor else 1 / y
    if abs(divisor - count) > _TINY * count:
        return None
    return e(aten.mean.dim, source, dims, *([True] if keep else []))


@rule(aten.reshape.default)
def kept_dim(e: Emitter, node: Node) -> Node | None:
    """A reduction whose dims are put back is one that keeps them."""
    x, _ = arguments(node)
    if not is_call(x, *_REDUCTIONS) or not is_static(x):
        return None
    given = bound(x)
    dims, source = given.get("dim"), next(iter(given.values()))
    if given["keepdim"] or not dims or not is_static(source):
        return None
    dims = [dims] if isinstance(dims, int) else dims
    shape = [1 if d in dims else size for d, size in enumerate(shape_of(source))]
    if shape != shape_of(node):
        return None
    return _keeping(e, x)


@rule(*_REDUCTIONS)
def of_merged_dims(e: Emitter, node: Node) -> Node | None:
    """A reduction over a dim that a reshape merged: over the dims that it was merged of."""
    given = bound(node)
    merged, dims = next(iter(given.values())), given["dim"]
    dims = [dims] if isinstance(dims, int) else list(dims or [])
    if not is_call(merged, aten.reshape.default) or len(dims) != 1:
        return None
    x = arguments(merged)[0]
    if not is_static(x) or not is_static(merged):
        return None
    before, after, dim = shape_of(x), shape_of(merged), dims[0]
    behind = len(after) - dim - 1
    stop = len(before) - behind
    same = before[:dim] == after[:dim] and before[stop:] == after[dim + 1 :]
    if not same or stop - dim < 2 or given["keepdim"]:
        return None
    return _over(e, node, x, list(range(dim, stop)))


def _over(e: Emitter, reduction: Node, x: Node, dims: list[int]) -> Node:
    """Return a reduction of another tensor over other dims."""
    names = [a.name for a in reduction.target._schema.arguments]  # type: ignore[union-attr]
    place = names.index("dim")
    args = [x, *reduction.args[1:place], dims, *reduction.args[place + 1 :]]
    return e(reduction.target, *args, **reduction.kwargs)


@rule(aten.reshape.default)
def kept_dim_behind(e: Emitter, node: Node) -> Node | None:
    """Dims that are put back behind functions of a reduction: right behind the reduction."""
    x, sizes = arguments(node)
    source, chain = x, []
    while isinstance(source, Node) and _is_of_one(source) and len(source.users) == 1:
        chain.append(source)
        source = arguments(source)[0]
    if not chain or not is_call(source, *_REDUCTIONS) or not is_static(source):
        return None
    if bound(source)["keepdim"] or 1 not in sizes or rank_of(node) <= rank_of(source):
        return None
    value = e(aten.reshape.default, source, sizes)
    for step in reversed(chain):
        value = e(step.target, value, *arguments(step)[1:], **step.kwargs)
    return value


def _is_of_one(node: Node) -> bool:
    """Whether `node` is an elementwise function of one tensor, and of numbers."""
    known = node.target in _FUNCTIONS and INNER not in node.meta
    return known and len(node.all_input_nodes) == 1 and isinstance(arguments(node)[0], Node)


def _keeping(e: Emitter, reduction: Node) -> Node:
    names = [a.name for a in reduction.target._schema.arguments if not a.kwarg_only]  # type: ignore[union-attr]
    given = bound(reduction)
    given["keepdim"] = True
    if "keepdim" not in names:
        return e(reduction.target, *reduction.args, **(reduction.kwargs | {"keepdim": True}))
    return e(reduction.target, *(given[name] for name in names), **reduction.kwargs)


@rule(aten.var.dim, aten.var.default, aten.std.dim, aten.std.default)
def spread(e: Emitter, node: Node) -> Node:
    """Variances by what is subtracted from the count."""
    given = bound(node)
    target = aten.var.correction if "var" in str(node.target) else aten.std.correction
    options: dict[str, Any] = {}
    if not given["unbiased"]:
        options["correction"] = 0
    if given.get("keepdim"):
        options["keepdim"] = True
    dims = given.get("dim")
    return e(target, arguments(node)[0], *([] if dims is None else [dims]), **options)


@rule(aten.var_mean.correction, aten.var_mean.dim, aten.var_mean.default)
def spread_and_mean(e: Emitter, node: Node) -> list[Any] | None:
    """A variance and a mean."""
    given = bound(node)
    x = arguments(node)[0]
    dims = given.get("dim")
    keep = bool(given.get("keepdim"))
    unbiased = given.get("unbiased", True)
    correction = given["correction"] if "correction" in given else int(unbiased)
    options: dict[str, Any] = {} if correction in (None, 1) else {"correction": correction}
    options |= {"keepdim": True} if keep else {}
    variance = e(aten.var.correction, x, *([] if dims is None else [dims]), **options)
    if not dims:
        dims = list(range(rank_of(x)))
    return [variance, e(aten.mean.dim, x, dims, *([True] if keep else []))]


# --- truth values -------------------------------------------------------------------------------


@rule(
    *(aten.bitwise_not.default, aten.bitwise_and.Tensor, aten.bitwise_or.Tensor),
    *(aten.__and__.Tensor, aten.__or__.Tensor),
)
def of_truth(e: Emitter, node: Node) -> Node | None:
    """Bits of truth values."""
    if not all(map(is_bool, node.args)):
        return None
    logical: dict[Any, Any] = {
        aten.bitwise_not.default: aten.logical_not.default,
        aten.bitwise_and.Tensor: aten.logical_and.default,
        aten.bitwise_or.Tensor: aten.logical_or.default,
        aten.__and__.Tensor: aten.logical_and.default,
        aten.__or__.Tensor: aten.logical_or.default,
    }
    return e(logical[node.target], *node.args)


@rule(aten.eq.Scalar, aten.ne.Scalar)
def truth_compared(e: Emitter, node: Node) -> Node | None:
    """A truth value compared with one."""
    x, y = arguments(node)
    if not is_bool(x) or y not in (0, 1):
        return None
    same = bool(y) == (node.target is aten.eq.Scalar)
    return x if same else e(aten.logical_not.default, x)


@rule(aten.logical_not.default)
def opposite(e: Emitter, node: Node) -> Node | None:
    """Not not, and not of a comparison for equality."""
    (x,) = arguments(node)
    if not isinstance(x, Node):
        return None
    if x.target is aten.logical_not.default and is_bool(arguments(x)[0]):
        return arguments(x)[0]  # type: ignore[no-any-return]
    others: dict[Any, Any] = {aten.eq.Scalar: aten.ne.Scalar, aten.ne.Scalar: aten.eq.Scalar}
    return e(others[x.target], *x.args) if x.target in others else None


@rule(aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf, aten.where.Scalar)
def otherwise(e: Emitter, node: Node) -> Node | None:
    """A choice by the opposite."""
    condition, x, y = arguments(node)
    if not is_call(condition, aten.logical_not.default) or not is_bool(arguments(condition)[0]):
        return None
    swapped: dict[Any, Any] = {aten.where.ScalarOther: aten.where.ScalarSelf}
    swapped |= {v: k for k, v in swapped.items()}
    return e(swapped.get(node.target, node.target), arguments(condition)[0], y, x)


@register_graph_pass
@dataclass(frozen=True)
class Algebra(RulePass):
    """Write arithmetic in one form.

    Squares as products, roots and their inverses as such, sums over their counts as means, constant
    factors as one, reductions whose dims are put back as ones that keep them; truth values by
    logical ops.
    """

    name: ClassVar[str] = "algebra"
    rules: ClassVar[tuple[Rule, ...]] = (
        *(power, square, inverse_root, quotient, by_one, and_nothing, factors, negative, average),
        *(
            limits,
            kept_dim,
            kept_dim_behind,
            of_merged_dims,
            spread,
            spread_and_mean,
            of_truth,
            truth_compared,
            opposite,
            otherwise,
        ),
    )


def _keeps_dtype(node: Node, x: Any) -> bool:
    before, after = tensor_of(x), tensor_of(node)
    return before is not None and after is not None and before.dtype == after.dtype


@register_graph_pass
@dataclass(frozen=True)
class CommonSubexpressions(GraphPass):
    """Compute equal expressions once: the same op on the same operands."""

    name: ClassVar[str] = "cse"

    def run(self, model: GraphModule) -> bool:
        """Go through the graph in order; what was there before stands for what is equal to it."""
        seen: dict[Any, Node] = {}
        changed = False
        for node in list(calls(model.graph)):
            if not is_pure(node.target) or INNER in node.meta or not node.users:
                continue
            key = (node.target, _key(model, node.args), _key(model, node.kwargs))
            first = seen.setdefault(key, node)
            if first is not node:
                node.replace_all_uses_with(first)
                changed = True
        return changed


def _key(model: GraphModule, value: Any) -> Any:
    """Return a hashable value that is equal for equal arguments; constants are the tensors held."""
    if isinstance(value, Node):
        held = attribute(model, value) if value.op == "get_attr" else None
        return ("constant", id(held)) if isinstance(held, Tensor) else value
    if isinstance(value, list | tuple):
        return tuple(_key(model, v) for v in value)
    if isinstance(value, dict):
        return tuple((k, _key(model, v)) for k, v in value.items())
    return (type(value).__name__, value)
