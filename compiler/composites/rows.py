"""What norms have in common: the dims they go over, moved to the end, and what is done behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from tosaic.composites.composite import NearMiss
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import arguments, is_constant, rank_of, shape_of, tensor_of
from tosaic.graph.match import Bindings

aten = torch.ops.aten
_TINY = 1e-5  # an epsilon that no quantised norm comes near


class Rows:
    """`x` with the dims that a norm goes over at the end, and the way back."""

    def __init__(self, e: Emitter, x: Node, dims: Any, keepdim: Any = True) -> None:
        """Move `dims` of `x`, where they are not at the end.

        Raises:
            NearMiss: their sizes are dynamic, or a mean over them does not keep them.
        """
        rank = rank_of(x)
        given = [dims] if isinstance(dims, int) else list(dims or range(rank))
        self._dims = sorted(d % rank for d in given)
        if not keepdim:
            raise NearMiss("its mean does not keep the dims that it goes over")
        self.shape = [shape_of(x)[d] for d in self._dims]
        if not all(isinstance(size, int) for size in self.shape):
            raise NearMiss("the dims that it goes over have dynamic sizes")
        tensor = tensor_of(x)
        if tensor is None or tensor.dtype != torch.float32:
            raise NearMiss("it is not computed in float32")
        self._e = e
        self._order = [d for d in range(rank) if d not in self._dims] + self._dims
        self.x = _permuted(e, x, self._order)

    def back(self, result: Node) -> Node:
        """Return `result` with its dims in the order of the tensor that was given."""
        return _permuted(self._e, result, _inverse(self._order))


def _permuted(e: Emitter, x: Node, order: Sequence[int]) -> Node:
    if list(order) == list(range(len(order))):
        return x
    return e(aten.permute.default, x, list(order))


def _inverse(order: Sequence[int]) -> list[int]:
    return [order.index(d) for d in range(len(order))]


def norm_under(value: Any, *targets: Any) -> tuple[Node, list[int]] | None:
    """Return (norm, order of its dims) where `value` is a norm of `targets`, perhaps permuted.

    Dim d of the norm is dim ``order[d]`` of `value`.
    """
    if not isinstance(value, Node) or len(value.users) != 1:
        return None
    order = list(range(rank_of(value)))
    if value.target is aten.permute.default:
        value, dims = arguments(value)
        order = _inverse(list(dims))
        if not isinstance(value, Node) or len(value.users) != 1:
            return None
    return (value, order) if value.target in targets else None


def as_parameter(e: Emitter, value: Any, order: Sequence[int], shape: Sequence[int]) -> Node | None:
    """Return a constant that goes with each row as a tensor of the rows' `shape`, else None.

    It is broadcast against a tensor of which the norm's dim d is dim ``order[d]``.
    """
    if not is_constant(value) or tensor_of(value) is None:
        return None
    if value.meta["val"].dtype != torch.float32 or rank_of(value) > len(order):
        return None
    full = [1] * (len(order) - rank_of(value)) + shape_of(value)
    moved = [full[d] for d in order]
    outer = len(moved) - len(shape)
    if any(d != 1 for d in moved[:outer]):
        return None
    if any(a not in (1, b) for a, b in zip(moved[outer:], shape, strict=True)):
        return None
    if shape_of(value) == list(shape) and list(order) == sorted(order):
        return value  # type: ignore[no-any-return]
    whole = _permuted(e, e(aten.reshape.default, value, full), order)
    row = e(aten.reshape.default, whole, moved[outer:])
    return row if moved[outer:] == list(shape) else e(aten.expand.default, row, list(shape))


def filled(e: Emitter, shape: Sequence[int], number: float) -> Node:
    """Return a constant of one value."""
    return e.constant("_gain", torch.full(tuple(shape), number))


def small(epsilon: float) -> float:
    """Return an epsilon that stands outside of a root.

    Raises:
        NearMiss: it is so large that it matters where it stands.
    """
    if epsilon > _TINY:
        raise NearMiss(f"its epsilon of {epsilon:g}, outside of the root, is not small")
    return epsilon


def behind(e: Emitter, value: Node, norm: Node, new: Node) -> Node:
    """Return `new`, which takes the place of `norm`, permuted as `value` is of that."""
    return new if value is norm else e(aten.permute.default, new, arguments(value)[1])


def constant_of(parts: Bindings) -> Any:
    """Return what a norm is multiplied by (`factor`) or what is added to it (`shift`)."""
    return parts["factor"] if "factor" in parts else parts["shift"]


def changed_parameters(
    e: Emitter, parts: Bindings, given: Node, weight: Node | None, bias: Node | None
) -> tuple[Node, Node | None]:
    """Return weight and bias of a norm behind which `given` is multiplied or added."""
    if "factor" in parts:
        moved = None if bias is None else e(aten.mul.Tensor, bias, given)
        return (given if weight is None else e(aten.mul.Tensor, weight, given)), moved
    fresh = given if bias is None else e(aten.add.Tensor, bias, given)
    return (filled(e, shape_of(given), 1.0) if weight is None else weight), fresh
