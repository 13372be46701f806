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
from tosaic.lowering.ops import OpEntry, Quantized, Trait
from tosaic.quantizer.recipe import Scheme


@dataclass(frozen=True)
class Lookup:
    """Ops that compute `last` from `source` alone, element by element; `last` is one of them."""

    source: Node
    last: Node
    members: tuple[Node, ...]


def find_lookups(
    model: GraphModule, table: dict[str, OpEntry], scheme_of: Callable[[Node], Scheme | None]
) -> list[Lookup]:
    """Return the lookups of two ops and more in a graph to be quantised.

    What something else reads, or the recipe treats otherwise, ends one lookup, and the next starts
    there. Lookups may have the ops next to their source in common.
    """
    opaque: set[Node] = set()
    while True:
        sources = _sources(model, table, scheme_of, opaque)
        found, torn = _collected(sources)
        for lookup in found:
            if _is_wide(scheme_of(lookup.last)) and _is_arithmetic(lookup, table):
                torn.update(lookup.members)  # each is cheaper than a table of int16
        if not torn:
            return [lookup for lookup in found if len(lookup.members) > 1]
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
        # A TABLE of int16 interpolates, and a function that jumps would take many.
        if scheme is None or (_is_wide(scheme) and Trait.JUMPS in table[table_name(node)].traits):
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


def _collected(sources: dict[Node, Node]) -> tuple[list[Lookup], set[Node]]:
    """Return the lookups, and the ops that would have to be inside of one and to end another."""
    lookups, torn = [], set()
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
        lookups.append(Lookup(source, node, tuple(v for v in sources if v in members)))
    return lookups, torn


def _is_elementwise(node: Node, table: dict[str, OpEntry]) -> bool:
    entry = table.get(table_name(node))
    return entry is not None and entry.elementwise


def _is_arithmetic(lookup: Lookup, table: dict[str, OpEntry]) -> bool:
    """Whether no op of a lookup takes a table where each is on its own."""

    def is_cheap(node: Node) -> bool:
        entry = table[table_name(node)]
        divides = 16 not in entry.widths and isinstance(node.args[1], Node)
        clamps = entry.quantized is Quantized.CLAMP
        return (Trait.CHEAP in entry.traits and not divides) or clamps

    return all(map(is_cheap, lookup.members))


def _is_clamp_of(node: Node, source: Node, table: dict[str, OpEntry]) -> bool:
    """Whether `node` only limits the range that its producer is stored in."""
    clamps = table[table_name(node)].quantized is Quantized.CLAMP
    entry = table.get(table_name(source))
    return clamps and entry is not None and entry.fuses_clamp and len(source.users) == 1


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
