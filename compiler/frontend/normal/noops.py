"""Ops that give what they are given, dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.fx import GraphModule, Node

from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import arguments, bound, calls, tensor_of
from tosaic.graph.passes import register_graph_pass
from tosaic.graph.rules import Rule, RulePass, rule

aten = torch.ops.aten
_CHECKS = (
    *(aten._assert_tensor_metadata.default, aten._assert_async.msg, aten._assert_async.default),
    *(aten._assert_scalar.default, aten.sym_constrain_range.default),
    aten.sym_constrain_range_for_size.default,
)


@rule(
    *(aten.alias.default, aten.detach.default, aten.clone.default, aten.contiguous.default),
    *(aten.lift.default, aten.lift_fresh.default, aten.lift_fresh_copy.default),
    *(aten.positive.default, aten.to.device, aten.detach_.default),
    *(aten.resolve_conj.default, aten.resolve_neg.default),
)
def identity(e: Emitter, node: Node) -> Node | None:
    """Copies, and views of the whole: a graph without writes has no use for either."""
    x = arguments(node)[0]
    return x if _same_type(node, x) else None


@rule(
    *(aten.dropout.default, aten.feature_dropout.default, aten.alpha_dropout.default),
    *(aten.feature_alpha_dropout.default,),
)
def dropout(e: Emitter, node: Node) -> Node | None:
    """Dropout outside of training."""
    x, p, train = arguments(node)[:3]
    return x if not train or p == 0 else None


@rule(aten.native_dropout.default)
def native_dropout(e: Emitter, node: Node) -> list[Any] | None:
    """The same with the mask of what is kept: all."""
    x, p, train = arguments(node)[:3]
    if train and p != 0:
        return None
    return [x, e(aten.ones_like.default, x, dtype=torch.bool)]


@rule(aten._to_copy.default)
def cast(e: Emitter, node: Node) -> Node | None:
    """A cast to the dtype that there is."""
    x = arguments(node)[0]
    return x if _same_type(node, x) else None


@rule(aten.reshape.default, aten.expand.default, aten.slice.Tensor, aten.constant_pad_nd.default)
def whole(e: Emitter, node: Node) -> Node | None:
    """A reshape, expand, slice or pad that leaves the shape as it is."""
    x = arguments(node)[0]
    if node.target is aten.slice.Tensor and bound(node)["step"] != 1:
        return None
    if node.target is aten.constant_pad_nd.default and any(arguments(node)[1]):
        return None
    return x if _same_shape(node, x) else None


@rule(aten.permute.default)
def in_order(e: Emitter, node: Node) -> Node | None:
    """A permutation that moves no dim."""
    x, dims = arguments(node)
    return x if list(dims) == list(range(len(dims))) else None


@rule(aten.cat.default)
def of_one(e: Emitter, node: Node) -> Node | None:
    """A concatenation of one tensor."""
    tensors = arguments(node)[0]
    return tensors[0] if len(tensors) == 1 else None


@rule(aten.repeat.default)
def once(e: Emitter, node: Node) -> Node | None:
    """A repetition of nothing."""
    x, times = arguments(node)
    same = all(n == 1 for n in times) and _same_shape(node, x)
    return x if same else None


@register_graph_pass
@dataclass(frozen=True)
class NoOps(RulePass):
    """Drop what changes nothing.

    Copies and views of a whole tensor, casts to the dtype there is, dropout outside of training,
    reshapes, slices, pads, permutations and concatenations that leave a tensor as it is, and checks
    of what is known when a program is compiled.
    """

    name: ClassVar[str] = "noops"
    rules: ClassVar[tuple[Rule, ...]] = (
        *(identity, dropout, native_dropout, cast, whole, in_order, of_one, once),
    )

    def run(self, model: GraphModule) -> bool:
        """Erase checks, then apply the rules."""
        checks = [n for n in calls(model.graph) if n.target in _CHECKS and not n.users]
        for node in checks:
            model.graph.erase_node(node)
        return super().run(model) or bool(checks)


def _same_type(node: Node, x: Any) -> bool:
    before, after = tensor_of(x), tensor_of(node)
    return before is not None and after is not None and before.dtype == after.dtype


def _same_shape(node: Node, x: Any) -> bool:
    before, after = tensor_of(x), tensor_of(node)
    if before is None or after is None or before.dim() != after.dim():
        return False
    return all(_equal(a, b) for a, b in zip(before.shape, after.shape, strict=True))


def _equal(a: Any, b: Any) -> bool:
    """Return whether two dims are the same, without a guard on dynamic ones."""
    if isinstance(a, int) or isinstance(b, int):
        return isinstance(a, int) and isinstance(b, int) and a == b
    return bool(a.node.expr == b.node.expr)
