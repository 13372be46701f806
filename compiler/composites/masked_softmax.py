"""Softmax of masked scores: one op, so that "never" is no number which a range must hold.

Scores that are filled with -1e9, say, where a mask says so would, as a tensor of their own, leave
the scores a few of 256 steps, or none where the fill is infinite. There is one rule for all ways in
which people write masks: what is added to scores is taken apart into terms, and a term that is
provably 0 or "never" says what is hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from tosaic.composites.composite import finds
from tosaic.composites.ops import masked_softmax
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import (
    arguments,
    is_bool,
    is_call,
    is_number,
    is_static,
    operands,
    rank_of,
    shape_of,
    tensor_of,
)

aten = torch.ops.aten
# What stands for "never" in what is softmaxed: its exponential is nothing in float32. Any more is a
# bias of the scores.
NEVER = -90.0
_FAR = -1e9  # a number that no sum with an activation is near zero for
_MOVING = (
    *(aten.reshape.default, aten.permute.default, aten.expand.default, aten.slice.Tensor),
    *(aten.select.int, aten.repeat.default),
)
_WHERE = (aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf, aten.where.Scalar)
# (what is softmaxed without its mask, where it is hidden)
Masked = tuple[Node, Node]


@finds("softmax of masked scores", aten.softmax.int, aten._safe_softmax.default, exact=False)
def softmax(e: Emitter, node: Node) -> Node | None:
    """Softmax over ``masked_fill``, ``where``, or sums with masks."""
    scores, dim, *_ = arguments(node)
    if not is_static(node) or len(arguments(node)) > 2 or not isinstance(scores, Node):
        return None
    if node.meta["val"].dtype != torch.float32:
        return None
    found = _masked(e, scores)
    if found is None:
        return None
    x, hidden = found
    while is_call(x, aten.sub.Tensor) and is_shift(arguments(x)[0], arguments(x)[1], dim):
        x = arguments(x)[0]
    shape = shape_of(node)
    x, hidden = (
        v if shape_of(v) == shape else e(aten.expand.default, v, shape) for v in (x, hidden)
    )
    return e(masked_softmax, x, hidden, dim)


@finds("a mask", aten.eq.Scalar, aten.ne.Scalar, exact=False)
def compared_sum(e: Emitter, node: Node) -> Node | None:
    """A sum with a constant mask, compared with a number: what is not hidden, compared with it.

    Rounded to integers, a sum of "never" and of small numbers would hold nothing else.
    """
    value, number = arguments(node)
    for mask, x in operands(value, aten.add.Tensor):
        known = e.value(mask)
        if known is None or tensor_of(x) is None or abs(number) >= -_FAR:
            continue
        hidden = known <= _FAR
        if not bool(hidden.any()) or not bool((hidden | (known == 0)).all()):
            continue
        equal = e(node.target, x, number)
        if node.target is aten.eq.Scalar:
            return e(aten.logical_and.default, equal, e.constant("_mask", ~hidden))
        return e(aten.logical_or.default, equal, e.constant("_mask", hidden))
    return None


def _masked(e: Emitter, value: Any, factor: float = 1.0) -> Masked | None:
    """Return scores and where they are hidden; `factor` is what both are multiplied by behind."""
    if not isinstance(value, Node):
        return None
    if is_call(value, aten.masked_fill.Scalar, *_WHERE):
        return _filled(e, value, factor)
    if is_call(value, aten.add.Tensor, aten.sub.Tensor) and _is_plain(value):
        return _sum(e, value, factor)
    if is_call(value, aten.mul.Tensor, aten.div.Tensor):
        x, number = arguments(value)
        if not is_number(number) or number <= 0:
            return None
        number = number if value.target is aten.mul.Tensor else 1 / number
        inner = _masked(e, x, factor * number)
        return None if inner is None else (e(value.target, inner[0], arguments(value)[1]), inner[1])
    if is_call(value, aten.reshape.default, aten.permute.default):
        x, how = arguments(value)
        inner = _masked(e, x, factor)
        if inner is None:
            return None
        scores, hidden = inner
        if shape_of(hidden) != shape_of(scores):
            hidden = e(aten.expand.default, hidden, shape_of(scores))
        return e(value.target, scores, how), e(value.target, hidden, how)
    return None


def _filled(e: Emitter, value: Node, factor: float) -> Masked | None:
    """``masked_fill(x, mask, never)``, or a choice between x and never."""
    if value.target is aten.masked_fill.Scalar:
        x, hidden, fill = arguments(value)
        if not _is_never(e, fill, factor):
            return None
    else:
        condition, x, y = arguments(value)
        if _is_never(e, y, factor):
            hidden = e(aten.logical_not.default, condition)
        elif _is_never(e, x, factor):
            x, hidden = y, condition
        else:
            return None
    if tensor_of(x) is None or not is_bool(hidden):
        return None
    return _and_inside(e, x, hidden, factor)


def _and_inside(e: Emitter, x: Node, hidden: Node, factor: float) -> Masked:
    """Return scores with what else hides them."""
    inner = _masked(e, x, factor)
    if inner is None:
        return x, hidden
    return inner[0], e(aten.logical_or.default, inner[1], hidden)


def _sum(e: Emitter, value: Node, factor: float) -> Masked | None:
    """Scores plus masks: the terms that hide, and the sum of the others."""
    hiding: list[Node] = []
    rest: list[tuple[Node, bool]] = []
    terms = _terms(value)
    if len(terms) == 1:
        return None  # a sum of a tensor and a number
    for term, positive in terms:
        hidden, left = _split(e, term, factor if positive else -factor)
        hiding += [] if hidden is None else [hidden]
        rest += [(other, positive) for other in left]
    if not any(positive for _, positive in rest):
        return None
    if not hiding:
        return _of_one(e, rest, [_masked(e, v, factor) if plus else None for v, plus in rest])
    whole = hiding[0]
    for other in hiding[1:]:
        whole = e(aten.logical_or.default, whole, other)
    rest = [(_shown(e, v, whole), positive) for v, positive in rest]
    if len(rest) == 1:
        return _and_inside(e, rest[0][0], whole, factor)
    return _total(e, rest), whole


def _total(e: Emitter, terms: list[tuple[Node, bool]]) -> Node:
    """Return the sum of terms, some of them subtracted; the first is added."""
    start = next(n for n, (_, positive) in enumerate(terms) if positive)
    total = terms[start][0]
    for n, (term, positive) in enumerate(terms):
        if n != start:
            total = e(aten.add.Tensor if positive else aten.sub.Tensor, total, term)
    return total


def _shown(e: Emitter, value: Node, hidden: Node) -> Node:
    """Return scores that were multiplied by 0 where they are hidden anyway, as they were."""
    known = e.value(hidden)
    if not is_call(value, aten.mul.Tensor) or known is None:
        return value
    x, mask = arguments(value)
    for scores, other in ((x, mask), (mask, x)):
        visible = e.value(other)
        if visible is None or tensor_of(scores) is None:
            continue
        binary = bool(((visible == 0) | (visible == 1)).all())
        if binary and bool((known | (visible == 1)).all()):
            return scores  # type: ignore[no-any-return]
    return value


def _of_one(e: Emitter, rest: list[tuple[Node, bool]], inner: list[Masked | None]) -> Masked | None:
    """Return a sum of which one term is masked scores."""
    found = [n for n, masked in enumerate(inner) if masked is not None]
    if len(found) != 1:
        return None
    masked = inner[found[0]]
    assert masked is not None
    rest = [(masked[0], True) if n == found[0] else term for n, term in enumerate(rest)]
    return _total(e, rest), masked[1]


def _terms(value: Any, positive: bool = True) -> list[tuple[Any, bool]]:
    """Return the tensors that a sum is of, with whether they are added."""
    if is_call(value, aten.add.Tensor, aten.sub.Tensor) and _is_plain(value):
        x, y = arguments(value)
        if tensor_of(x) is not None and tensor_of(y) is not None:
            second = positive if value.target is aten.add.Tensor else not positive
            return [*_terms(x, positive), *_terms(y, second)]
    return [(value, positive)]


def _is_plain(node: Node) -> bool:
    return len(node.args) == 2 and not node.kwargs


def is_shift(x: Any, shift: Any, dim: int) -> bool:
    """Whether `shift` is one number for each row of `x` along `dim`."""
    if tensor_of(x) is None or tensor_of(shift) is None or rank_of(shift) > rank_of(x):
        return False
    place = dim - (rank_of(x) - rank_of(shift))
    return place < 0 or bool(shape_of(shift)[place] == 1)


def _split(e: Emitter, term: Node, factor: float) -> tuple[Node | None, list[Node]]:
    """Return where a term hides, and what it adds elsewhere."""
    known = e.value(term)
    if known is not None:
        hidden = known * factor <= NEVER
        if not bool(hidden.any()):
            return None, [term]
        rest = known.masked_fill(hidden, 0.0)
        left = [e.constant("_bias", rest)] if bool(rest.any()) else []
        return e.constant("_mask", hidden), left
    hides = _hides(e, term, factor)
    return (None, [term]) if hides is None else (hides, [])


def _hides(e: Emitter, value: Any, factor: float) -> Node | None:
    """Return where `value`, times `factor` 0 or never everywhere, is never; None if unproven."""
    if not isinstance(value, Node) or tensor_of(value) is None:
        return None
    known = e.value(value)
    if known is not None:
        hidden = known * factor <= NEVER
        fits = bool((hidden | (known == 0)).all())
        return e.constant("_mask", hidden) if fits else None
    if factor <= NEVER and (ones := truth(e, value)) is not None:
        return ones
    if is_call(value, *_MOVING):
        return _moved(e, value, lambda x: _hides(e, x, factor))
    if is_call(value, aten._to_copy.default):
        return None if is_bool(arguments(value)[0]) else _hides(e, arguments(value)[0], factor)
    if is_call(value, aten.mul.Tensor, aten.div.Tensor):
        x, number = arguments(value)
        if not is_number(number) or not number:
            return None
        by = number if value.target is aten.mul.Tensor else 1 / number
        return _hides(e, x, factor * by)
    if is_call(value, aten.masked_fill.Scalar):
        x, mask, fill = arguments(value)
        return _choice(e, mask, fill, x, factor)
    if is_call(value, *_WHERE):
        condition, yes, no = arguments(value)
        return _choice(e, condition, yes, no, factor)
    if is_call(value, aten.add.Tensor, aten.minimum.default) and not value.kwargs:
        parts = [_hides(e, v, factor) for v in arguments(value)]
        if len(parts) == 2 and parts[0] is not None and parts[1] is not None:
            return e(aten.logical_or.default, *parts)
    return None


def _choice(e: Emitter, condition: Node, yes: Any, no: Any, factor: float) -> Node | None:
    """A choice between 0, never, and what is one of them."""
    if not is_bool(condition):
        return None
    sides = [_side(e, v, factor) for v in (yes, no)]
    if None in sides:
        return None
    first, second = sides
    opposite = e(aten.logical_not.default, condition)
    terms = []
    for side, where in ((first, condition), (second, opposite)):
        if side is True:
            terms.append(where)
        elif isinstance(side, Node):
            terms.append(e(aten.logical_and.default, side, where))
    if not terms:
        return None
    return terms[0] if len(terms) == 1 else e(aten.logical_or.default, *terms)


def _side(e: Emitter, value: Any, factor: float) -> Node | bool | None:
    """Return whether a number is never (or 0), or where a tensor is; None if neither is sure."""
    if is_number(value):
        return True if _is_never(e, value, factor) else False if value == 0 else None
    known = e.value(value)
    if known is not None and known.numel() == 1:
        return _side(e, known.item(), factor)
    return _hides(e, value, factor)


def truth(e: Emitter, value: Any) -> Node | None:
    """Return where `value`, a tensor that is 0 or 1 everywhere, is 1; None if unproven."""
    if not isinstance(value, Node) or tensor_of(value) is None:
        return None
    if is_bool(value):
        return value
    known = e.value(value)
    if known is not None:
        fits = bool(((known == 0) | (known == 1)).all())
        return e.constant("_mask", known == 1) if fits else None
    if is_call(value, *_MOVING):
        return _moved(e, value, lambda x: truth(e, x))
    if is_call(value, aten._to_copy.default):
        return truth(e, arguments(value)[0])
    if is_call(value, aten.rsub.Scalar) and arguments(value)[1] == 1 and len(value.args) == 2:
        inner = truth(e, arguments(value)[0])
        return None if inner is None else e(aten.logical_not.default, inner)
    if is_call(value, aten.mul.Tensor):
        both = [truth(e, v) for v in arguments(value)]
        if both[0] is not None and both[1] is not None:
            return e(aten.logical_and.default, *both)
    if is_call(value, *_WHERE) and tuple(arguments(value)[1:]) in ((1, 0), (0, 1)):
        condition, yes, _ = arguments(value)
        return condition if yes == 1 else e(aten.logical_not.default, condition)
    return None


def _moved(e: Emitter, value: Node, of: Callable[[Any], Node | None]) -> Node | None:
    """Return what `of` says of what is moved, moved alike."""
    x, *how = arguments(value)
    inner = of(x)
    return None if inner is None else e(value.target, inner, *how)


def _is_never(e: Emitter, value: Any, factor: float) -> bool:
    if is_number(value):
        return bool(value * factor <= NEVER)
    known: Tensor | None = e.value(value)
    return known is not None and known.numel() == 1 and _is_never(e, known.item(), factor)
