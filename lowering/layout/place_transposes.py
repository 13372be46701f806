"""Transposes are placed once for the whole function, where they move the fewest bytes.

Motivation. PyTorch is channels-first, TOSA's window ops are channels-last. Lowering puts a
transpose on each side of every convolution; peephole rewrites that cancel neighbours get stuck at
the first concat, pad, broadcast or residual add.

Overview. Every op that can compute in any dimension order (layout/rules.py) is a variable: the
permutation in which it produces its result. Transposes are not ops but labels on edges. An edge
costs nothing where producer and consumer agree, and the bytes of the tensor where a transpose must
stay. A *labelling* assigns a permutation to every variable of a connected component; starting from
the demand of any fixed neighbour (a convolution, an argument, a reshape) and following the edges
gives a labelling without inner cost. Starting from the program as written, each such labelling is
offered in turn, and a minimum cut decides which variables take it: alpha-expansion (Boykov, Veksler
& Zabih, 2001), exact for two labellings, which is the usual case.

Constants are permuted for free. A transpose that only moves dims of size 1 is a reshape.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar

import networkx
import numpy as np

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.builder import Builder, attr_ints
from tosaic.dialects.types import DYNAMIC, constant_value, element_of, shape_of, storage_of, tensor
from tosaic.lowering.layout.rules import (
    Perm,
    compose,
    identity,
    inverse,
    is_flexible,
    moved_operands,
    permuted_op,
)
from tosaic.lowering.passes import Pass, register_pass


@dataclasses.dataclass(frozen=True)
class _Edge:
    """`value` transposed by `perm` is read; a side without an op number is fixed."""

    value: ir.Value
    perm: Perm
    producer: int | None
    consumer: int | None
    cost: int


Labels = dict[int, Perm]


class _Graph:
    """The variables of one block, and the edges between them."""

    def __init__(self, block: ir.Block) -> None:
        self.ops = [op.operation for op in block.operations]
        self.variables = {n: op for n, op in enumerate(self.ops) if is_flexible(op)}
        self._number = {op.results[0]: n for n, op in self.variables.items()}
        self.edges: list[_Edge] = list(self._edges())
        self.touching: dict[int, list[_Edge]] = {n: [] for n in self.variables}
        for edge in self.edges:
            for end in {edge.producer, edge.consumer} - {None}:
                assert end is not None
                self.touching[end].append(edge)

    def _edges(self) -> Iterator[_Edge]:
        for n, op in enumerate(self.ops):
            if op.name == "tosa.transpose":
                continue
            variable = n if n in self.variables else None
            for value in moved_operands(op) if variable is not None else list(op.operands):
                if not isinstance(value.type, ir.RankedTensorType):
                    continue
                root, perm = origin(value)
                producer = self._number.get(root)
                if producer is None and variable is None:
                    continue
                yield _Edge(root, perm, producer, variable, _cost(root))

    def rank(self, variable: int) -> int:
        return int(ir.RankedTensorType(self.variables[variable].results[0].type).rank)

    def leftover(self, edge: _Edge, labels: Labels) -> Perm:
        """Return the transpose that stays on `edge` under `labels`."""
        rank = len(edge.perm)
        wanted = labels[edge.consumer] if edge.consumer is not None else identity(rank)
        have = labels[edge.producer] if edge.producer is not None else identity(rank)
        return compose(inverse(have), compose(edge.perm, wanted))

    def edge_cost(self, edge: _Edge, labels: Labels) -> int:
        if edge.cost == 0:
            return 0
        leftover = self.leftover(edge, labels)
        have = labels[edge.producer] if edge.producer is not None else identity(len(leftover))
        shape = [shape_of(edge.value)[p] for p in have]
        return 0 if moves_only_units(shape, leftover) else edge.cost

    def cost(self, edges: list[_Edge], labels: Labels) -> int:
        """Return the bytes moved; a transpose shared by several readers counts once."""
        shared = {}
        for edge in edges:
            key = (edge.value, self.leftover(edge, labels))
            shared[key] = self.edge_cost(edge, labels)
        return sum(shared.values())

    def components(self) -> Iterator[list[int]]:
        """Yield the connected variables, in program order."""
        seen: set[int] = set()
        for start in self.variables:
            if start in seen:
                continue
            seen.add(start)
            component, work = [], deque([start])
            while work:
                variable = work.popleft()
                component.append(variable)
                for edge in self.touching[variable]:
                    for other in (edge.producer, edge.consumer):
                        if other is not None and other not in seen:
                            seen.add(other)
                            work.append(other)
            yield sorted(component)

    def labelling(self, start: int, perm: Perm) -> Labels:
        """Return the labels that follow from `start` having `perm`, along every edge."""
        labels, work = {start: perm}, deque([start])
        while work:
            variable = work.popleft()
            for edge in self.touching[variable]:
                if edge.producer is None or edge.consumer is None:
                    continue
                if edge.producer not in labels:
                    labels[edge.producer] = compose(edge.perm, labels[edge.consumer])
                    work.append(edge.producer)
                elif edge.consumer not in labels:
                    labels[edge.consumer] = compose(inverse(edge.perm), labels[edge.producer])
                    work.append(edge.consumer)
        return labels

    def candidates(self, component: list[int], edges: list[_Edge]) -> Iterator[Labels]:
        """Yield the labellings that suit at least one fixed neighbour, each once."""
        found: list[Labels] = []
        for edge in edges:
            if edge.producer is not None and edge.consumer is not None:
                continue
            if edge.producer is None:
                variable, perm = edge.consumer, inverse(edge.perm)
            else:
                variable, perm = edge.producer, edge.perm
            assert variable is not None
            if edge.cost == 0 or any(known[variable] == perm for known in found):
                continue
            labels = self.labelling(variable, perm)
            found.append(labels)
            yield labels


def origin(value: ir.Value) -> tuple[ir.Value, Perm]:
    """Return (root, perm) with ``value = transpose(root, perm)``, through transpose chains."""
    perm = identity(ir.RankedTensorType(value.type).rank)
    while not isinstance(value.owner, ir.Block) and value.owner.name == "tosa.transpose":
        perm = compose(attr_ints(value.owner, "perms"), perm)
        value = value.owner.operands[0]
    return value, perm


def moves_only_units(shape: list[int], perm: Perm) -> bool:
    """Return whether transposing `shape` by `perm` keeps the order of elements."""
    order = [p for p in perm if shape[p] != 1]
    return order == sorted(order)


def _cost(value: ir.Value) -> int:
    if constant_value(value) is not None:
        return 0
    # A dynamic dim counts as one element; any transpose costs at least one.
    elements = int(np.prod([1 if d == DYNAMIC else d for d in shape_of(value)]))
    storage = storage_of(element_of(value))
    return max(1, elements * max(8, getattr(storage, "width", 32)) // 8)


def _expand(graph: _Graph, edges: list[_Edge], labels: Labels, offer: Labels) -> Labels:
    """Return the best mix of `labels` and `offer`: variables on the sink side take the offer."""
    network = networkx.DiGraph()
    network.add_nodes_from(("keep", "take"))

    def connect(a: Any, c: Any, capacity: int) -> None:
        if capacity <= 0:
            return
        if network.has_edge(a, c):
            network[a][c]["capacity"] += capacity
        else:
            network.add_edge(a, c, capacity=capacity)

    def cost(edge: _Edge, *takers: int | None) -> int:
        ends = {n for n in (edge.producer, edge.consumer) if n is not None}
        return graph.edge_cost(edge, {n: (offer if n in takers else labels)[n] for n in ends})

    # What taking the offer costs each variable by itself, summed before it becomes an edge: two
    # opposite edges a variable would make the flow search quadratic.
    extra = dict.fromkeys(labels, 0)
    for edge in edges:
        p, c = edge.producer, edge.consumer
        if p is None or c is None or p == c:
            end = p if p is not None else c
            assert end is not None
            extra[end] += cost(edge, end) - cost(edge)
            continue
        neither, one, other, both = cost(edge), cost(edge, p), cost(edge, c), cost(edge, p, c)
        # Kolmogorov & Zabih 2004: E = neither + (one-neither)[p] + (both-one)[c] + rest[not p, c]
        extra[p] += one - neither
        extra[c] += both - one
        connect(p, c, one + other - neither - both)
    for end, weight in extra.items():
        connect("keep", end, weight)
        connect(end, "take", -weight)
    _, (kept, _) = networkx.minimum_cut(
        network, "keep", "take", flow_func=networkx.algorithms.flow.boykov_kolmogorov
    )
    return {n: labels[n] if n in kept else offer[n] for n in labels}


def _solve(graph: _Graph) -> Labels:
    labels = {n: identity(graph.rank(n)) for n in graph.variables}
    for component in graph.components():
        edges = list({id(e): e for n in component for e in graph.touching[n]}.values())
        best = {n: labels[n] for n in component}
        cost = graph.cost(edges, best)
        if cost == 0:
            continue
        offers = list(graph.candidates(component, edges))
        for whole in offers:  # the usual end: one order suits everybody
            offered = graph.cost(edges, whole)
            if offered < cost:
                best, cost = whole, offered
        for offer in offers if cost else ():
            mixed = _expand(graph, edges, best, offer)
            offered = graph.cost(edges, mixed)
            if offered < cost:
                best, cost = mixed, offered
        labels.update(best)
    return labels


class _Rebuild:
    """Writes the chosen labels into the block."""

    def __init__(self, graph: _Graph, labels: Labels) -> None:
        self._graph = graph
        self._labels = labels
        self._order: dict[ir.Value, tuple[ir.Value, Perm]] = {}
        self._made: dict[tuple[ir.Value, Perm], ir.Value] = {}

    def run(self) -> None:
        for n, op in enumerate(self._graph.ops):
            if op.name == "tosa.transpose":
                continue
            perm = self._labels.get(n)
            if perm is not None and perm != identity(len(perm)):
                self._replace(op, perm)
                continue
            for k, value in enumerate(op.operands):
                if isinstance(value.type, ir.RankedTensorType):
                    wanted = self._read(value, identity(len(shape_of(value))), op)
                    if wanted != value:
                        op.operands[k] = wanted
        for op in reversed(self._graph.ops):
            if op.name.startswith("tosa.") and not any(True for r in op.results for _ in r.uses):
                op.erase()

    def _replace(self, op: Any, perm: Perm) -> None:
        b = Builder(op.location, ir.InsertionPoint(op))
        operands = [self._read(v, perm, op) for v in moved_operands(op)]
        operands, attributes = permuted_op(op, perm, operands, b)
        result = op.results[0]
        shape = [shape_of(result)[p] for p in perm]
        new = b.value(op.name, operands, tensor(shape, element_of(result)), **attributes)
        self._order[result] = (new, perm)

    def _read(self, value: ir.Value, perm: Perm, reader: Any) -> ir.Value:
        """Return `value` transposed by `perm`, from where it now is."""
        root, along = origin(value)
        wanted = compose(along, perm)
        have, order = self._order.get(root, (root, identity(len(wanted))))
        leftover = compose(inverse(order), wanted)
        if leftover == identity(len(leftover)):
            return have
        key = (have, leftover)
        if key not in self._made:
            self._made[key] = self._transposed(have, leftover, reader)
        return self._made[key]

    def _transposed(self, value: ir.Value, perm: Perm, reader: Any) -> ir.Value:
        # Right behind the producer, so that every later reader can share it.
        owner = value.owner
        if isinstance(owner, ir.Block):
            at = ir.InsertionPoint.at_block_begin(owner)
            b = Builder(reader.location, at)
        else:
            b = Builder(owner.location, ir.InsertionPoint.after(owner))
        array = constant_value(value)
        if array is not None:
            return b.const(np.transpose(array, perm), element_of(value))
        shape = shape_of(value)
        if moves_only_units(shape, perm) and shape.count(DYNAMIC) <= 1:
            return b.reshape(value, [shape[p] for p in perm])
        return b.transpose(value, perm)


@register_pass
@dataclasses.dataclass(frozen=True)
class PlaceTransposes(Pass):
    """Place the transposes of each function where they move the fewest bytes.

    Elementwise ops, rescales, lookups, concats, pads, slices, tiles and reductions take whatever
    dimension order is cheapest overall; constants are permuted in place; transposes of dims of size
    1 become reshapes. A minimum cut over the whole function decides, so a CNN keeps no transpose
    between its convolutions, however its branches join.
    """

    name: ClassVar[str] = "tosaic-place-transposes"

    def run(self, module: ir.Operation) -> None:
        """Solve and rewrite each function."""
        for function in list(module.regions[0].blocks[0].operations):
            if isinstance(function, func.FuncOp) and not function.is_external:
                graph = _Graph(function.regions[0].blocks[0])
                _Rebuild(graph, _solve(graph)).run()
