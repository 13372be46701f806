"""Where main's tensors lie in the arena: the loader's plan, made as small as the order allows.

The loader places tensors by falling size, which is quick and often optimal. Where it is not, the
search here takes the tensors in order of time and puts each at the lowest or at the highest free
place below a ceiling, the bytes that must be alive at once: in a chain of operators the tensors
then alternate between the two ends. Before that, tensors are put inside of others (views.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from tosaic.backends.cortex_m.views import Block, aligned, live_bytes, with_views
from tosaic.runtime import Model


class PlanWord(IntEnum):
    """The words of a plan's header (runtime/src/plan.h) that the compiler reads or changes."""

    MODEL_BYTES = 2
    MODEL_SAMPLE = 3
    TENSOR_BYTES = 4
    OPERATORS = 6
    VARIABLES = 7
    TYPES = 8
    GRAPHS = 10


# How many words there are in the header, and in the record of a variable, a type and a graph.
HEADER, VARIABLE, TYPE, GRAPH = 11, 2, 8, 11
# Words of a graph's record (runtime/src/plan.h).
_TENSORS, _ARENA = 0, 9
_IN_ARENA = 2  # the kind of a tensor
_BUDGET = 20_000  # places tried


@dataclass(frozen=True)
class MemoryPlan:
    """`data` is for `tosaic_config.plan`; `live` are the bytes alive at each step of main.

    `arena_bytes` holds main's tensors; `live`'s largest number is the least that it can be.
    `outputs` are the tensors that the steps write, as indices among the main block's tensors.
    """

    data: bytes
    arena_bytes: int
    live: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class _Words:
    """A plan's words, and views of it by which it is changed.

    `places` has the place of each tensor in the plan's order, in which the block's tensor `t` is
    number `numbers[t]`, unless it is nowhere.
    """

    all: npt.NDArray[np.uint32]
    graphs: int
    main: npt.NDArray[np.uint32]
    places: npt.NDArray[np.uint32]
    numbers: npt.NDArray[np.intp]


def _words(model: Model, kinds: Sequence[int]) -> _Words:
    words = np.frombuffer(model.plan(), np.uint32).copy()
    operators, variables, types, graphs = (
        int(words[k])
        for k in (PlanWord.OPERATORS, PlanWord.VARIABLES, PlanWord.TYPES, PlanWord.GRAPHS)
    )
    main = words[HEADER + operators + VARIABLE * variables + TYPE * types :]
    tensors = main[GRAPH * graphs :][: 2 * int(main[_TENSORS])]
    numbers = np.argsort(np.argsort(kinds, kind="stable"))
    return _Words(words, graphs, main, tensors[::2], numbers)


def blocks_of(model: Model) -> list[Block]:
    """Return what has to be placed for main, as the loader lets tensors share memory."""
    kinds = model.tensor_kinds()
    return _blocks(model, model.steps(), kinds, _words(model, kinds))


def plan_memory(model: Model, *, views: bool = True) -> MemoryPlan:
    """Return the smallest plan found for `model`; without `views`, all lie apart."""
    steps = model.steps()
    kinds = model.tensor_kinds()
    words = _words(model, kinds)
    blocks = _blocks(model, steps, kinds, words)
    live = live_bytes(blocks, len(steps))
    # Other graphs lie behind main, and their places depend on its size.
    if words.graphs == 1:
        shared = with_views(model, blocks, len(steps)) if views else blocks
        for tried in (shared, blocks):
            # Of two plans of one size, the one that copies less; the loader's is one of blocks.
            most = int(words.main[_ARENA]) - (len(tried) == len(blocks))
            tried_live = live_bytes(tried, len(steps))
            if max(tried_live, default=0) > most:
                continue
            size, found = _placed(tried, max(tried_live, default=0))
            if size <= most:
                for block, place in found:
                    for tensor, offset in block.tensors.items():
                        words.places[words.numbers[tensor]] = place + offset
                words.main[_ARENA] = words.all[PlanWord.TENSOR_BYTES] = size
                live = tried_live
                break
    outputs = tuple(writes[0] if writes else 0 for _, writes in steps)
    return MemoryPlan(words.all.tobytes(), int(words.main[_ARENA]), tuple(live), outputs)


def _blocks(
    model: Model,
    steps: Sequence[tuple[list[int], list[int]]],
    kinds: Sequence[int],
    words: _Words,
) -> list[Block]:
    """Return what has to be placed: tensors alive together at one place are one block."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for k, (reads, writes) in enumerate(steps):
        last |= dict.fromkeys(reads, k)
        for tensor in writes:
            first[tensor] = last[tensor] = k
    last |= dict.fromkeys(model.output_tensors(), len(steps))
    places, numbers = words.places.tolist(), words.numbers.tolist()
    out: list[Block] = []
    at: dict[int, int] = {}  # of each place, the block that was there last
    tensors = [t for t in last if kinds[t] == _IN_ARENA]
    for tensor in sorted(tensors, key=lambda t: first.get(t, 0)):
        begin, end, place = first.get(tensor, 0), last[tensor], places[numbers[tensor]]
        size = model.tensor_bytes(tensor)
        other = out[at[place]] if place in at else None
        if other is not None and other.last >= begin:
            joined, size = {**other.tensors, tensor: 0}, max(other.bytes, size)
            out[at[place]] = Block(joined, other.first, max(other.last, end), begin, size)
        else:
            at[place] = len(out)
            out.append(Block({tensor: 0}, begin, end, begin, size))
    return out


def _placed(blocks: Sequence[Block], bound: int) -> tuple[int, list[tuple[Block, int]]]:
    """Return an arena's size and the place of each block in it; `bound` is the least size."""
    found = _search(sorted(blocks, key=lambda block: (block.first, -block.bytes)), bound)
    if found or not blocks:
        return bound, found
    for block in sorted(blocks, key=lambda block: -block.bytes):
        found.append((block, _lowest(block, found)))
    return max(place + aligned(block.bytes) for block, place in found), found


def _lowest(block: Block, placed: Sequence[tuple[Block, int]]) -> int:
    end = 0
    for begin, after in _taken(block, placed):
        if begin - end >= aligned(block.bytes):
            break
        end = max(end, after)
    return end


def _taken(block: Block, placed: Sequence[tuple[Block, int]]) -> list[tuple[int, int]]:
    """Return where others lie that are alive together with `block`, lowest first."""
    return sorted(
        (place, place + aligned(other.bytes))
        for other, place in placed
        if other.last >= block.first and block.last >= other.first
    )


def _search(blocks: Sequence[Block], ceiling: int) -> list[tuple[Block, int]]:
    """Return a place below `ceiling` for each block, or nothing if none was found."""
    placed: list[tuple[Block, int]] = []
    choices: list[Iterator[int]] = []
    for _ in range(_BUDGET):
        if len(placed) == len(blocks):
            return placed
        if len(choices) == len(placed):
            choices.append(_places(blocks[len(placed)], placed, ceiling))
        place = next(choices[-1], None)
        if place is not None:
            placed.append((blocks[len(placed)], place))
        else:
            choices.pop()
            if not placed:
                break
            placed.pop()
    return []


def _places(block: Block, placed: Sequence[tuple[Block, int]], ceiling: int) -> Iterator[int]:
    """Yield the lowest and the highest free place; the end that is nearer to empty first."""
    size = aligned(block.bytes)
    free = []
    end = 0
    for begin, after in (*_taken(block, placed), (ceiling, ceiling)):
        if begin - end >= size:
            free += [end, begin - size]
        end = max(end, after)
    if free:
        low, high = min(free), max(free)
        yield from (low, high) if low == 0 else (high, low)
