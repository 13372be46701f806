"""Patterns of expressions: written as expressions, matched whatever the order of operands.

A pattern is built of calls, of variables that stand for tensors and of parameters that stand for
arguments; what a variable or parameter met is bound to its name, and the same name means the same
thing. The graph is in normal form, so that a function needs few patterns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

from tosaic.graph.facts import is_number, tensor_of

aten = torch.ops.aten
Bindings = Mapping[str, Any]
_TOLERANCE = 1e-4  # relative, of constants that people round as they like


class Pattern:
    """Something that a value of a graph may be."""

    def match(self, value: Any, known: Bindings) -> Iterator[Bindings]:
        """Yield each way in which `value` is this, as `known` with what was bound."""
        raise NotImplementedError


@dataclass(frozen=True)
class Tensor(Pattern):
    """Any tensor."""

    name: str

    def match(self, value: Any, known: Bindings) -> Iterator[Bindings]:
        """Bind it, or compare it with what is bound."""
        if tensor_of(value) is not None and known.get(self.name, value) is value:
            yield {**known, self.name: value}


@dataclass(frozen=True)
class Argument(Pattern):
    """Any argument, such as dims."""

    name: str

    def match(self, value: Any, known: Bindings) -> Iterator[Bindings]:
        """Bind it, or compare it with what is bound."""
        if self.name not in known or known[self.name] == value:
            yield {**known, self.name: value}


@dataclass(frozen=True)
class Number(Pattern):
    """Any Python number."""

    name: str

    def match(self, value: Any, known: Bindings) -> Iterator[Bindings]:
        """Bind it."""
        if is_number(value):
            yield {**known, self.name: float(value)}


@dataclass(frozen=True)
class Is(Pattern):
    """A number, as people write it."""

    number: float

    def match(self, value: Any, known: Bindings) -> Iterator[Bindings]:
        """Compare it."""
        if is_number(value) and math.isclose(value, self.number, rel_tol=_TOLERANCE):
            yield known


@dataclass(frozen=True)
class Either(Pattern):
    """One of several patterns."""

    ways: tuple[Pattern, ...]

    def match(self, value: Any, known: Bindings) -> Iterator[Bindings]:
        """Try all."""
        for way in self.ways:
            yield from way.match(value, known)


@dataclass(frozen=True)
class Call(Pattern):
    """A call with these arguments, defaults among them; those that commute in either order."""

    target: Any
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...] = ()

    def match(self, value: Any, known: Bindings) -> Iterator[Bindings]:
        """Match all arguments, in each order that there is."""
        if not isinstance(value, Node) or value.target is not self.target:
            return
        given = _filled(value, len(self.args))
        if len(given) != len(self.args) or dict(self.kwargs) != value.kwargs:
            return
        orders = [self.args]
        if self.target in _COMMUTATIVE and len(self.args) == 2:
            orders.append(self.args[::-1])
        for order in orders:
            yield from _match_all(order, given, known)


_COMMUTATIVE = (
    *(aten.add.Tensor, aten.mul.Tensor, aten.maximum.default, aten.minimum.default),
    *(aten.logical_and.default, aten.logical_or.default),
)


def _filled(node: Node, count: int) -> tuple[Any, ...]:
    """Return the arguments of a call, those left out at the end at their defaults."""
    given = list(node.args)
    schema = getattr(node.target, "_schema", None)
    for argument in () if schema is None else schema.arguments[len(given) : count]:
        if argument.kwarg_only or not argument.has_default_value():
            break
        given.append(argument.default_value)
    return tuple(given)


def _match_all(patterns: Any, values: Any, known: Bindings) -> Iterator[Bindings]:
    if not patterns:
        yield known
        return
    first, *rest = patterns
    for bindings in _match(first, values[0], known):
        yield from _match_all(rest, values[1:], bindings)


def _match(pattern: Any, value: Any, known: Bindings) -> Iterator[Bindings]:
    if isinstance(pattern, Pattern):
        yield from pattern.match(value, known)
    elif is_number(pattern) == is_number(value) and pattern == value:
        yield known


# --- how patterns are written -------------------------------------------------------------------


def call(target: Any, *args: Any, **kwargs: Any) -> Call:
    """Return the pattern of a call of `target`."""
    return Call(target, args, tuple(kwargs.items()))


def either(*ways: Pattern) -> Either:
    """Return the pattern of any of `ways`."""
    return Either(ways)


def add(x: Any, y: Any) -> Call:
    """Return the pattern of ``x + y``."""
    return call(aten.add.Tensor, x, y)


def sub(x: Any, y: Any) -> Call:
    """Return the pattern of ``x - y``."""
    return call(aten.sub.Tensor, x, y)


def mul(x: Any, y: Any) -> Call:
    """Return the pattern of ``x * y``."""
    return call(aten.mul.Tensor, x, y)


def div(x: Any, y: Any) -> Call:
    """Return the pattern of ``x / y``."""
    return call(aten.div.Tensor, x, y)


def scaled(x: Any, factor: float) -> Either:
    """Return the pattern of `x` times a number, or over its inverse."""
    return either(mul(x, Is(factor)), div(x, Is(1 / factor)))


def first_match(pattern: Pattern, value: Any) -> Bindings | None:
    """Return what the names of `pattern` are in `value`, None where it is something else."""
    return next(pattern.match(value, {}), None)
