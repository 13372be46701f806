"""Elementwise functions that a model writes as several operators, to be quantised as one lookup.

``x * sigmoid(x)`` and a GELU spelled out are functions of one tensor. Only `x` and the result need
integers: what lies between stays float, and ``tosaic-fold-table`` makes one TABLE of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.fx import GraphModule, Node

from tosaic.graph.facts import INNER, table_name
from tosaic.graph.values import attribute
from tosaic.lowering.ops import OpEntry, Quantized
from tosaic.quantizer.recipe import Scheme

_ARITHMETIC = ("add", "sub", "rsub", "mul", "div", "subtract", "multiply", "divide", "true_divide")
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge", "less", "less_equal", "greater")
_OF_TWO = {f"torch.aten.{n}.{form}" for n in _ARITHMETIC for form in ("Tensor", "Scalar")}
_OF_TWO |= {
    f"torch.aten.{n}" for n in ("maximum", "minimum", "max.other", "min.other", "fmax", "fmin")
}
_CHEAP = _OF_TWO | {f"torch.aten.{n}" for n in ("neg", "negative", "abs", "absolute", "square")}
# A TABLE of int16 interpolates, and a function that jumps would take many.
_JUMPING = {f"torch.aten.{n}.{form}" for n in _COMPARISONS for form in ("Tensor", "Scalar")}
_JUMPING |= {
    f"torch.aten.{n}"
    for n in (
        *("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar"),
        *("masked_fill.Scalar", "masked_fill.Tensor", "ceil", "floor", "trunc", "fix", "frac"),
        *("logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_not"),
        *("bitwise_and.Tensor", "bitwise_or.Tensor", "bitwise_xor.Tensor"),
        *("__and__.Tensor", "__or__.Tensor", "__xor__.Tensor"),
        *("round", "round.decimals", "special_round", "sign", "sgn", "hardshrink", "threshold"),
    )
}
_UNARY = (Quantized.TABLE, Quantized.CLAMP)


@dataclass(frozen=True)
class Island:
    """Ops that compute `last` from `source` alone, element by element; `last` is one of them."""

    source: Node
    last: Node
    members: tuple[Node, ...]


def find_islands(
    model: GraphModule, table: dict[str, OpEntry], scheme_of: Callable[[Node], Scheme | None]
) -> list[Island]:
    """Return the islands of two ops and more in a graph to be annotated.

    What something else reads, or the recipe treats otherwise, ends one island, and the next starts
    there. Islands may have the ops next to their source in common.
    """
    opaque: set[Node] = set()
    while True:
        sources = _sources(model, table, scheme_of, opaque)
        found, torn = _collected(sources)
        for island in found:
            if _is_wide(scheme_of(island.last)) and _is_arithmetic(island, table):
                torn.update(island.members)  # each is cheaper than a table of int16
        if not torn:
            return [island for island in found if len(island.members) > 1]
        opaque |= torn


def _sources(
    model: GraphModule,
    table: dict[str, OpEntry],
    scheme_of: Callable[[Node], Scheme | None],
    opaque: set[Node],
) -> dict[Node, Node]:
    """Return, of each op that is a function of one tensor, that tensor, as far up as there is."""
    found: dict[Node, Node] = {}
    for node in model.graph.nodes:
        if node in opaque or INNER in node.meta or not _is_elementwise(node, table):
            continue
        scheme = scheme_of(node)
        if scheme is None or (_is_wide(scheme) and table_name(node) in _JUMPING):
            continue
        tensors = [v for v in node.all_input_nodes if not _is_splat(model, v)]
        sources = {found.get(v, v) if scheme_of(v) == scheme else v for v in tensors}
        if len(sources) != 1:
            continue
        (source,) = sources
        same = _form(source) == (_form(node)[0], torch.float32)
        if same and not _is_clamp_of(node, source, table):
            found[node] = source
    return found


def _collected(sources: dict[Node, Node]) -> tuple[list[Island], set[Node]]:
    """Return the islands, and the ops that would have to be inside of one and to end another."""
    islands, torn = [], set()
    for node, source in sources.items():
        inside = [user for user in node.users if sources.get(user) is source]
        if len(inside) == len(node.users) > 0:
            continue
        if inside or _form(node)[1] != torch.float32:  # a truth value has no scale
            torn.add(node)
            continue
        members, above = {node}, [node]
        while above:
            fresh = [v for v in above.pop().all_input_nodes if sources.get(v) is source]
            above += [v for v in fresh if v not in members]
            members.update(fresh)
        islands.append(Island(source, node, tuple(v for v in sources if v in members)))
    return islands, torn


def _is_elementwise(node: Node, table: dict[str, OpEntry]) -> bool:
    name = table_name(node)
    entry = table.get(name)
    return entry is not None and (entry.quantized in _UNARY or name in _OF_TWO or name in _JUMPING)


def _is_arithmetic(island: Island, table: dict[str, OpEntry]) -> bool:
    """Whether no op of an island takes a table where each is on its own."""

    def is_cheap(node: Node) -> bool:
        name = table_name(node)
        divides = "div" in name and isinstance(node.args[1], Node)
        clamps = table[name].quantized is Quantized.CLAMP
        return (name in _CHEAP and not divides) or clamps

    return all(map(is_cheap, island.members))


def _is_clamp_of(node: Node, source: Node, table: dict[str, OpEntry]) -> bool:
    """Whether `node` only limits the range that its producer is stored in."""
    clamps = table[table_name(node)].quantized is Quantized.CLAMP
    return clamps and source.op == "call_function" and len(source.users) == 1


def _is_wide(scheme: Scheme | None) -> bool:
    return scheme is not None and scheme.activations != "int8"


def _is_splat(model: GraphModule, node: Node) -> bool:
    """Return whether `node` is a constant whose elements are all the same."""
    if node.op != "get_attr" or not isinstance(node.meta.get("val"), torch.Tensor):
        return False
    value = attribute(model, node)
    return value.numel() > 0 and bool((value == value.flatten()[0]).all())


def _form(node: Node) -> tuple[torch.Size | None, torch.dtype | None]:
    value = node.meta.get("val")
    return (value.shape, value.dtype) if isinstance(value, torch.Tensor) else (None, None)
