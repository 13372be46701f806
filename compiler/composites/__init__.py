"""Composites: functions of several ops that are quantised as one unit, one file each.

A file says how a composite is spelled (`@composes` with patterns, `@finds` with a matcher) and what
is built of it: PyTorch's own op where there is one, else one of ours (`ops`). Files that take ops
apart (`@decomposes`) are for what has to be quantised part by part.
"""

from __future__ import annotations

import importlib
import operator
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch.fx import GraphModule, Node

from tosaic.composites.composite import NearMiss, decompositions, spellings
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import is_floating
from tosaic.graph.passes import register_graph_pass
from tosaic.graph.rules import Replacement, Rule, RulePass, apply_rules

NEAR_MISS = "tosaic_near_miss"  # metadata of a node: what it looks like, and why it is none


@cache
def _load() -> None:
    """Import the files, which enter what they have."""
    for info in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(info.name)


@register_graph_pass
@dataclass(frozen=True)
class Compose(RulePass):
    """Replace spelled-out functions by the ops they are: norms, activations, softmax.

    With `integers` also those that are the same only for what integers tell apart: softmax of
    masked scores, norms with an epsilon outside of the root.
    """

    name: ClassVar[str] = "compose"
    integers: bool = False

    def run(self, model: GraphModule) -> bool:
        """Apply all spellings until none fits; note the near misses on their nodes."""
        _load()
        rules = [
            Rule(s.roots, _noted(s.composite, s.find))
            for s in spellings()
            if s.exact or self.integers
        ]
        return apply_rules(model, rules)


def _noted(name: str, find: Callable[[Emitter, Node], Node | None]) -> Any:
    def rewrite(e: Emitter, node: Node) -> Node | None:
        try:
            return find(e, node)
        except NearMiss as miss:
            node.meta[NEAR_MISS] = f"looks like {name}, but {miss}"
            return None

    return rewrite


@register_graph_pass
@dataclass(frozen=True)
class Decompose(RulePass):
    """Take apart what is quantised in parts: attention, recurrent nets, sums of products."""

    name: ClassVar[str] = "decompose"

    def run(self, model: GraphModule) -> bool:
        """Take all apart that can be."""
        _load()
        return apply_rules(model, [Rule(tuple(decompositions()), _taken_apart)])


def _taken_apart(e: Emitter, node: Node) -> Replacement:
    found = decompositions()[node.target]
    if found.of_floats and not any(map(is_floating, node.all_input_nodes)):
        return None
    if not all(map(_is_static, [node, *node.all_input_nodes])):
        return None
    if isinstance(node.meta["val"], list | tuple) and not all(
        user.target is operator.getitem for user in node.users
    ):
        return None
    return found.parts(e, *node.args, **node.kwargs)


def _is_static(node: Node) -> bool:
    value = node.meta.get("val")
    tensors = value if isinstance(value, list | tuple) else [value]
    return all(
        isinstance(t, torch.Tensor) and all(isinstance(d, int) for d in t.shape) for t in tensors
    )


def decomposed_ops() -> set[str]:
    """Return the names of the ops that are quantised in parts, such as ``addcmul``."""
    _load()
    return {str(t).removeprefix("aten.").removesuffix(".default") for t in decompositions()}
