"""Which tensors of main may lie inside of others, so that CONCAT and SLICE copy less or need less.

Where all dims ahead of the axis are 1, each input of a CONCAT is one piece of the output: it is
computed in its place. Elsewhere one input may lie at the output's end, from where the runtime
copies it forward row by row. A SLICE of one piece lies where it is in its input.

A tensor that lies inside of another takes the other's memory with it for as long as it lives, so
this is done where no more bytes are alive at once than before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from tosaic.runtime import Model
from tosaic.runtime.model import Concat, Slice

ALIGNMENT = 16


def aligned(size: int) -> int:
    """Return what a tensor of `size` bytes takes."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Block:
    """Tensors of main in one piece of memory, alive from step `first` to step `last`.

    `tensors` has the offset of each in bytes; at step `written` the last of them is written.
    """

    tensors: dict[int, int]
    first: int
    last: int
    written: int
    bytes: int


@dataclass(frozen=True)
class _View:
    """At `step` tensor `part` may lie `offset` bytes behind the beginning of `whole`.

    It is written before `whole` is, unless it `reads` it; `moves` tells that it is copied anyway.
    """

    step: int
    part: int
    whole: int
    offset: int
    reads: bool = False
    moves: bool = False


def live_bytes(blocks: Sequence[Block], steps: int) -> list[int]:
    """Return the bytes alive at each step."""
    changes = [0] * (steps + 2)
    for block in blocks:
        changes[block.first] += aligned(block.bytes)
        changes[block.last + 1] -= aligned(block.bytes)
    return list(accumulate(changes))[:steps]


def with_views(model: Model, blocks: Sequence[Block], steps: int) -> list[Block]:
    """Return `blocks` with those merged that may lie inside of others."""
    out = list(blocks)
    live = live_bytes(out, steps)
    for move in model.moves():
        for choice in _choices(model, move):
            tried = _with(model, out, choice)
            then = live_bytes(tried, steps)
            copied = any(view.moves for view in choice)
            if len(tried) == len(out) or max(then) > max(live):
                continue
            if copied and then[move.step] >= live[move.step]:
                continue
            out, live = tried, then
            if copied:
                break  # there is one end
    return out


def _with(model: Model, blocks: Sequence[Block], views: Sequence[_View]) -> list[Block]:
    """Return `blocks` with those of `views` that are possible."""
    out = list(blocks)
    for view in views:
        part = next((block for block in out if view.part in block.tensors), None)
        whole = next((block for block in out if view.whole in block.tensors), None)
        if part is None or whole is None or part is whole:
            continue
        merged = _merged(view, part, whole, model.tensor_bytes(view.part))
        if merged is not None:
            out = [block for block in out if block is not part and block is not whole]
            out.append(merged)
    return out


def _merged(view: _View, part: Block, whole: Block, size: int) -> Block | None:
    """Return one block of two, or None where a tensor of one would be written over."""
    step = view.step
    offset = whole.tensors[view.whole] + view.offset
    if part.tensors[view.part] or part.bytes > aligned(size) or offset % ALIGNMENT:
        return None
    if view.reads:
        # Either end may go on being read, but then nobody may write where both are.
        safe = part.first == step and whole.written <= step
        safe &= part.written == step or whole.last <= step
    else:
        # Others may already be inside of `whole`, each with memory of its own.
        safe = part.last <= step and whole.tensors[view.whole] == 0
    if not safe:
        return None
    return Block(
        whole.tensors | {tensor: offset + at for tensor, at in part.tensors.items()},
        min(part.first, whole.first),
        max(part.last, whole.last),
        part.written if view.reads and part.written > step else whole.written,
        max(whole.bytes, offset + part.bytes),
    )


def _choices(model: Model, move: Concat | Slice) -> Iterator[list[_View]]:
    """Yield views to try one behind the other, those that go together in one list."""
    shape = model.tensor_shape(move.output)
    if isinstance(move, Slice):
        offset = _slice_offset(model.tensor_shape(move.input), shape, move.start)
        if offset is not None:
            size = model.tensor_bytes(move.output) // math.prod(shape)
            yield [_View(move.step, move.output, move.input, offset * size, reads=True)]
        return
    if len(set(move.inputs)) < len(move.inputs):
        return  # one tensor cannot be in two places
    total = model.tensor_bytes(move.output)
    sizes = [model.tensor_bytes(tensor) for tensor in move.inputs]
    if math.prod(shape[: move.axis]) == 1:
        pieces = [
            _View(move.step, tensor, move.output, end - size)
            for size, tensor, end in zip(sizes, move.inputs, accumulate(sizes), strict=True)
        ]
        yield pieces
        yield from ([view] for view in pieces)
        sizes, inputs = sizes[-1:], move.inputs[-1:]
    else:
        inputs = move.inputs
    for size, tensor in sorted(zip(sizes, inputs, strict=True), reverse=True):
        yield [_View(move.step, tensor, move.output, aligned(total - size), moves=True)]


def _slice_offset(whole: Sequence[int], part: Sequence[int], start: Sequence[int]) -> int | None:
    """Return where the elements of a slice begin in its input, or None where they are scattered."""
    cut = len(part)
    while cut and part[cut - 1] == whole[cut - 1]:
        cut -= 1
    if math.prod(part[: max(cut - 1, 0)]) > 1:
        return None
    strides = [math.prod(whole[d + 1 :]) for d in range(len(whole))]
    return sum(at * stride for at, stride in zip(start, strides, strict=True))
