"""The table of composites: functions that graphs spell out, and how they are put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.fx import Node

from tosaic.graph.emitter import Emitter
from tosaic.graph.match import Bindings, Pattern
from tosaic.graph.rules import Replacement


class NearMiss(Exception):
    """Raised by a builder: the structure is there, but something in it says otherwise."""


# (emitter, the last node of the spelling, its parts by name) -> what stands for it
Build = Callable[[Emitter, Node, Bindings], "Node | None"]
# The same for what no pattern can say: the node alone.
Find = Callable[[Emitter, Node], "Node | None"]
# (emitter, arguments of the op) -> its parts; None where this form stays whole
Parts = Callable[..., Replacement]


@dataclass(frozen=True)
class Spelling:
    """One way in which `composite` is written, `roots` being what its last op may be.

    An `exact` one computes the same but for rounding in float; others do in integers.
    """

    composite: str
    roots: tuple[Any, ...]
    find: Find
    exact: bool


@dataclass(frozen=True)
class Decomposition:
    """What an op is made of for quantisation."""

    op: Any
    parts: Parts
    of_floats: bool


_SPELLINGS: list[Spelling] = []
_DECOMPOSITIONS: dict[Any, Decomposition] = {}


def composes(name: str, *patterns: Pattern, exact: bool = True) -> Callable[[Build], Build]:
    """Decorator: enter a builder of composite `name` for each of its spellings."""

    def enter(build: Build) -> Build:
        for pattern in patterns:
            _SPELLINGS.append(Spelling(name, _roots(pattern), _finder(pattern, build), exact))
        return build

    return enter


def finds(name: str, *roots: Any, exact: bool = True) -> Callable[[Find], Find]:
    """Decorator: enter a matcher of composite `name` that is called on each call of `roots`."""

    def enter(find: Find) -> Find:
        _SPELLINGS.append(Spelling(name, roots, find, exact))
        return find

    return enter


def decomposes(*ops: Any, of_floats: bool = False) -> Callable[[Parts], Parts]:
    """Decorator: enter what ATen `ops` are made of; `of_floats`: only where they read floats."""

    def enter(parts: Parts) -> Parts:
        for op in ops:
            assert op not in _DECOMPOSITIONS, f"{op} has two decompositions"
            _DECOMPOSITIONS[op] = Decomposition(op, parts, of_floats)
        return parts

    return enter


def spellings() -> list[Spelling]:
    """Return all spellings, as they were entered."""
    return _SPELLINGS


def decompositions() -> dict[Any, Decomposition]:
    """Return all decompositions by op."""
    return _DECOMPOSITIONS


def _roots(pattern: Any) -> tuple[Any, ...]:
    ways = getattr(pattern, "ways", None)
    if ways is None:
        return (pattern.target,)
    return tuple(dict.fromkeys(target for way in ways for target in _roots(way)))


def _finder(pattern: Pattern, build: Build) -> Find:
    def find(e: Emitter, node: Node) -> Node | None:
        missed: NearMiss | None = None
        for parts in pattern.match(node, {}):
            try:
                result = build(e, node, parts)
            except NearMiss as miss:
                missed = miss
                continue
            if result is not None:
                return result
        if missed is not None:
            raise missed
        return None

    return find
