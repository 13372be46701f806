"""The order in which main's operators run, for the smallest peak of memory on a device.

Where branches meet, their order decides which tensors wait for the others. The search runs the
steps in every order that could matter, the smallest peak first: a state is the set of steps that
have run, of which only the smallest peak that leads there counts. In a chain there is one state a
step. An order is taken only where the plan made with it is smaller.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import numpy as np

from tosaic.backends.cortex_m.memory_plan import blocks_of, plan_memory
from tosaic.backends.cortex_m.targets import kernels_of
from tosaic.backends.cortex_m.views import Block, aligned
from tosaic.dialects.bindings import ir
from tosaic.emit.functions import entry_function
from tosaic.emit.serialize import serialize
from tosaic.runtime import Model
from tosaic.targets import Target

_BUDGET = 20_000  # states visited
_NOT_NODES = ("tosa.const", "tosa.const_shape", "func.return")


@dataclass(frozen=True)
class Demand:
    """Bytes that the steps in `writes` make, and those in `reads` need; sets are bit masks.

    `kept` bytes are an output of the program, or are there from the beginning (`given`).
    """

    bytes: int
    writes: int
    reads: int
    kept: bool
    given: bool


def order_operators(module: ir.Module, target: Target, flatbuffer: bytes) -> bytes:
    """Return `flatbuffer`, which is `module`, with the best order found; `module` gets it, too.

    Programs with variables keep their order.
    """
    model = Model(flatbuffer, kernels=kernels_of(target))
    blocks = blocks_of(model)
    before = plan_memory(model).arena_bytes
    nodes, sizes = nodes_of(module), model.step_sizes()
    if before <= _least(model, blocks) or sum(sizes) != len(nodes):
        return flatbuffer
    order = best_order(demands_of(model, blocks), _needs(model))
    if order is None or order == sorted(order):
        return flatbuffer
    starts = np.cumsum([0, *sizes])
    _arrange([node for k in order for node in nodes[starts[k] : starts[k + 1]]])
    ordered = serialize(module, target=target, locations=False)
    if plan_memory(Model(ordered, kernels=kernels_of(target))).arena_bytes < before:
        return ordered
    _arrange(nodes)
    return flatbuffer


def best_order(demands: Sequence[Demand], needs: Sequence[int]) -> list[int] | None:
    """Return the steps in the order of smallest peak, or None where the search gives up.

    `needs` are the steps, as a bit mask, that must run before each one.
    """
    count = len(needs)
    touched: list[list[Demand]] = [[] for _ in needs]
    for demand in demands:
        for step in _bits(demand.writes | demand.reads):
            touched[step].append(demand)
    needed_by: list[list[int]] = [[] for _ in needs]
    for step, need in enumerate(needs):
        for before in _bits(need):
            needed_by[before].append(step)
    given = sum(d.bytes for d in demands if d.given)
    first = sum(1 << step for step, need in enumerate(needs) if not need)
    # Peak, then the farthest first; a number, for the heap; steps done, those that may be next,
    # bytes alive behind the done, and the order so far, last step first.
    numbers = itertools.count()
    queue: list[tuple[int, int, int, int, int, int, Any]]
    queue = [(given, 0, next(numbers), 0, first, given, None)]
    seen: set[int] = set()
    while queue and len(seen) < _BUDGET:
        peak, depth, _, done, ready, alive, order = heapq.heappop(queue)
        if -depth == count:
            return _unrolled(order)
        if done in seen:
            continue
        seen.add(done)
        for step in _bits(ready):
            after = done | 1 << step
            if after in seen:
                continue
            made = [
                d
                for d in touched[step]
                if not (d.given or d.writes & done) and d.writes >> step & 1
            ]
            during = alive + sum(d.bytes for d in made)
            dead = (d.bytes for d in touched[step] if not (d.kept or d.reads & ~after))
            next_ready = ready & ~(1 << step)
            for k in needed_by[step]:
                if not needs[k] & ~after:
                    next_ready |= 1 << k
            state = (after, next_ready, during - sum(dead), (step, order))
            heapq.heappush(queue, (max(peak, during), depth - 1, next(numbers), *state))
    return None


def _bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _unrolled(order: Any) -> list[int]:
    out = []
    while order is not None:
        step, order = order
        out.append(step)
    return out[::-1]


def demands_of(model: Model, blocks: Sequence[Block]) -> list[Demand]:
    """Return the demands of main's steps, as tensors share memory in the order they have."""
    reads: defaultdict[int, int] = defaultdict(int)
    writes: defaultdict[int, int] = defaultdict(int)
    for k, step in enumerate(model.steps()):
        for sets, tensors in zip((reads, writes), step, strict=True):
            for tensor in tensors:
                sets[tensor] |= 1 << k
    outputs = set(model.output_tensors())
    out = []
    for block in blocks:
        made, used = (reduce(or_, (sets[t] for t in block.tensors)) for sets in (writes, reads))
        kept = not outputs.isdisjoint(block.tensors)
        given = not all(writes[t] for t in block.tensors)
        out.append(Demand(aligned(block.bytes), made, used, kept, given))
    return out


def _least(model: Model, blocks: Sequence[Block]) -> int:
    """Return what a step needs at least, in any order: all it reads and writes."""
    owner = {tensor: k for k, block in enumerate(blocks) for tensor in block.tensors}
    needed = (
        {owner[t] for tensors in step for t in tensors if t in owner} for step in model.steps()
    )
    return max((sum(aligned(blocks[k].bytes) for k in ks) for ks in needed), default=0)


def _needs(model: Model) -> list[int]:
    maker: dict[int, int] = {}
    out = []
    for k, (reads, writes) in enumerate(model.steps()):
        out.append(sum({1 << maker[tensor] for tensor in reads if tensor in maker}))
        maker |= dict.fromkeys(writes, k)
    return out


def nodes_of(module: ir.Module) -> list[Any]:
    """Return main's operators that the runtime has nodes for; none where there are variables."""
    if any(op.operation.name == "tosa.variable" for op in module.body.operations):
        return []
    body = entry_function(module).regions[0].blocks[0]
    return [op for op in body.operations if op.operation.name not in _NOT_NODES]


def _arrange(nodes: Sequence[Any]) -> None:
    """Put operators one behind the other, ahead of the return; constants come first."""
    operations = nodes[0].operation.block.operations
    last = operations[len(operations) - 1]
    for node in nodes:
        node.operation.move_before(last)
