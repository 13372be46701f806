"""Convolutions cut in stripes of rows, so that a program fits the memory it is allowed.

A chain of convolutions and pools is computed for some rows of its last output, then for the next:
of the tensors between, only those rows exist at once. The rows at a cut are computed twice, as both
stripes need them (patch-based inference: Lin et al., "MCUNetV2", NeurIPS 2021, arXiv:2110.15352).

The program is rewritten in TOSA: a SLICE of the chain's input, the chain, and a CONCAT of all
stripes, of which memory planning copies neither. Where the most bytes are alive, the cut is chosen
that fits with the fewest multiply-accumulates, until the program fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from tosaic.backends.cortex_m.memory_plan import MemoryPlan, plan_memory
from tosaic.backends.cortex_m.schedule import nodes_of
from tosaic.backends.cortex_m.targets import kernels_of
from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, attr_ints, i64_array
from tosaic.dialects.locations import source_site
from tosaic.dialects.types import element_of, shape_of, tensor
from tosaic.emit.functions import bytecode, entry_function
from tosaic.emit.serialize import serialize
from tosaic.runtime import Model
from tosaic.targets import Target

_MOST_STRIPES = 16
_TRIED = 4  # cuts of one chain whose memory is planned
_TENSOR = 16  # bytes that a device needs to know a tensor
_CONVOLUTIONS = ("tosa.conv2d", "tosa.depthwise_conv2d")
_POOLS = ("tosa.max_pool2d", "tosa.avg_pool2d")
_POINTWISE = ("tosa.rescale", "tosa.clamp", "tosa.table")


@dataclass(frozen=True)
class Cut:
    """A chain cut in `count` stripes; `first` and `last` are its ends in the user's source.

    `macs` are the multiply-accumulates of the chain, of which `again` are computed twice.
    """

    count: int
    layers: int
    first: str
    last: str
    macs: int
    again: int

    def __str__(self) -> str:
        """Say what was cut and what it costs."""
        more = 100 * self.again / max(self.macs, 1)
        return (
            f"{self.layers} layers from {self.first} to {self.last} in {self.count} stripes, "
            f"{more:.1f} % more multiply-accumulates in them"
        )


@dataclass(frozen=True)
class Rows:
    """Rows of a tensor from `begin` up to `end`, and rows of padding around them."""

    begin: int
    end: int
    top: int = 0
    bottom: int = 0

    @property
    def count(self) -> int:
        """How many rows there are without the padding."""
        return self.end - self.begin


@dataclass(frozen=True)
class Layer:
    """An operator that computes row after row, and the pointwise operators behind it.

    `indices` are those of the operators in their block; sizes are of an int8 or wider NHWC tensor.
    """

    indices: tuple[int, ...]
    height: int  # of the input
    kernel: int
    stride: int
    dilation: int
    pad: int  # on top
    rows: int  # of the output
    row_bytes: int  # of the output
    row_macs: int

    def needs(self, rows: Rows) -> Rows:
        """Return the rows of the input that rows of the output need."""
        begin = rows.begin * self.stride - self.pad
        end = (rows.end - 1) * self.stride - self.pad + (self.kernel - 1) * self.dilation + 1
        top, bottom = max(-begin, 0), max(end - self.height, 0)
        return Rows(begin + top, end - bottom, top, bottom)


@dataclass(frozen=True)
class Chain:
    """Layers that read one another's outputs, which nobody else reads."""

    layers: tuple[Layer, ...]
    input_bytes: int

    @cached_property
    def sizes(self) -> list[int]:
        """Bytes of the input and of the output of each layer."""
        return [self.input_bytes, *(layer.rows * layer.row_bytes for layer in self.layers)]

    def stripes(self, begin: int, end: int, count: int) -> list[list[Rows]]:
        """Return of each stripe what layers `begin` up to `end` read, and what the last writes."""
        layers = self.layers[begin:end]
        cuts = [layers[-1].rows * k // count for k in range(count + 1)]
        out = []
        for first, after in pairwise(cuts):
            rows = [Rows(first, after)]
            for layer in reversed(layers):
                rows.append(layer.needs(rows[-1]))
            out.append(rows[::-1])
        return out

    def macs(self, begin: int, end: int) -> int:
        """Return the multiply-accumulates of layers `begin` up to `end`, uncut."""
        return sum(layer.row_macs * layer.rows for layer in self.layers[begin:end])

    def cost(self, begin: int, end: int, stripes: Sequence[Sequence[Rows]]) -> tuple[int, int]:
        """Return the bytes of tensors that the cut needs, and its multiply-accumulates."""
        layers = self.layers[begin:end]
        most = macs = 0
        for rows in stripes:
            sizes = [
                layer.row_bytes * made.count for layer, made in zip(layers, rows[1:], strict=True)
            ]
            macs += sum(
                layer.row_macs * made.count for layer, made in zip(layers, rows[1:], strict=True)
            )
            # The stripe's ends are parts of tensors that are there already.
            between = [0, *sizes[:-1], 0]
            most = max(most, *(a + b for a, b in pairwise(between)))
        return self.sizes[begin] + self.sizes[end] + most, macs


@dataclass(frozen=True)
class _Program:
    """A program in its forms, and how much arena it needs on a device."""

    module: ir.Module
    flatbuffer: bytes
    plan: MemoryPlan
    arena: int
    step_sizes: list[int]


def fit_arena(
    module: ir.Module, target: Target, flatbuffer: bytes, most: int
) -> tuple[ir.Module, bytes, list[Cut]]:
    """Return a program that needs at most `most` bytes of arena, and how it was cut.

    `flatbuffer` is `module`, which is not changed. Where no cuts make it fit, both are returned.
    """
    start = program = _planned(module, target, flatbuffer)
    cuts: list[Cut] = []
    while program.arena > most:
        found = _cut_at_peak(program, target, most)
        if found is None:
            return start.module, start.flatbuffer, []
        program, cut = found
        cuts.append(cut)
    return program.module, program.flatbuffer, cuts


def _planned(module: ir.Module, target: Target, flatbuffer: bytes) -> _Program:
    model: Model = Model(flatbuffer, kernels=kernels_of(target))
    plan = plan_memory(model)
    planned = Model(flatbuffer, plan.data, kernels=kernels_of(target))
    return _Program(module, flatbuffer, plan, planned.device_arena, model.step_sizes())


def _cut_at_peak(program: _Program, target: Target, most: int) -> tuple[_Program, Cut] | None:
    """Return the program with a cut where the most bytes are alive, if it needs less then."""
    peak = int(np.argmax(program.plan.live))
    nodes = nodes_of(program.module)
    if sum(program.step_sizes) != len(nodes):
        return None
    operations = list(entry_function(program.module).regions[0].blocks[0].operations)
    at = nodes[sum(program.step_sizes[:peak])]
    index = operations.index(at)
    for chain in _chains(operations):
        for number, layer in enumerate(chain.layers):
            if index in layer.indices:
                return _cut_chain(program, target, most, chain, number, operations)
    return None


def _cut_chain(
    program: _Program,
    target: Target,
    most: int,
    chain: Chain,
    peak: int,
    operations: Sequence[Any],
) -> tuple[_Program, Cut] | None:
    live = max(program.plan.live)
    # What does not belong to the chain, and the tables.
    others = live - chain.sizes[peak] - chain.sizes[peak + 1] + program.arena - live
    best: tuple[_Program, Cut] | None = None
    for begin, end, stripes, macs in _choices(chain, peak, most - others):
        cut_module = _copy(program.module)
        layers = chain.layers[begin:end]
        _rewrite(cut_module, layers, stripes)
        tried = _planned(cut_module, target, serialize(cut_module, target=target, locations=False))
        if tried.arena >= (best[0].arena if best else program.arena):
            continue
        once = chain.macs(begin, end)
        first, last = (str(source_site(operations[layers[k].indices[0]].location)) for k in (0, -1))
        best = tried, Cut(len(stripes), len(layers), first, last, once, macs - once)
        if tried.arena <= most:
            break
    return best


def _choices(
    chain: Chain, peak: int, most: int
) -> Iterator[tuple[int, int, list[list[Rows]], int]]:
    """Yield what fits in `most` bytes: layers, their stripes, and the multiply-accumulates.

    First come cuts of all layers of the chain that do not fit, then those of the peak alone.
    """
    large = [k for k, pair in enumerate(pairwise(chain.sizes)) if sum(pair) > most] or [peak]
    for first, last in ((large[0], large[-1]), (peak, peak)):
        found = []
        for begin in range(first + 1):
            for end in range(last + 1, len(chain.layers) + 1):
                for count in range(2, min(chain.layers[end - 1].rows, _MOST_STRIPES) + 1):
                    stripes = chain.stripes(begin, end, count)
                    size, macs = chain.cost(begin, end, stripes)
                    if size + _TENSOR * count * (end - begin + 2) <= most:
                        found.append((begin, end, stripes, macs - chain.macs(begin, end), macs))
                        break
        found.sort(key=lambda choice: (choice[3], len(choice[2])))
        for begin, end, stripes, _, macs in found[:_TRIED]:
            yield begin, end, stripes, macs


def _chains(operations: Sequence[Any]) -> Iterator[Chain]:
    """Yield the longest chains of layers in a block."""
    index = {op.operation: k for k, op in enumerate(operations)}
    begun: set[int] = set()
    for k, op in enumerate(operations):
        if k in begun or _layer(op, k) is None:
            continue
        layers: list[Layer] = []
        value = op
        at: int | None = k
        while at is not None and (layer := _layer(value, at)) is not None:
            indices = [at]
            while (reader := _only_reader(value)) is not None and reader.name in _POINTWISE:
                value = reader
                indices.append(index[reader])
            size = _bytes(value.results[0]) // layer.rows
            layers.append(replace(layer, indices=tuple(indices), row_bytes=size))
            begun.update(indices)
            reader = _only_reader(value)
            at = None if reader is None else index.get(reader)
            value = reader
        yield Chain(tuple(layers), _bytes(op.operands[0]))


def _layer(op: Any, index: int) -> Layer | None:
    """Return `op` as a layer without what is behind it, or None where it has no rows."""
    if op.operation.name not in (*_CONVOLUTIONS, *_POOLS):
        return None
    x, y = op.operands[0], op.results[0]
    shape = shape_of(x)
    constant = all(_is_constant(value) for value in list(op.operands)[1:])
    if shape[0] != 1 or not constant:
        return None
    pad, stride = attr_ints(op, "pad"), attr_ints(op, "stride")
    _, rows, width, channels = shape_of(y)
    if op.operation.name in _POOLS:
        kernel, dilation, macs = attr_ints(op, "kernel")[0], 1, 0
    else:
        weight = shape_of(op.operands[1])
        per_channel = op.operation.name == "tosa.depthwise_conv2d"
        kernel = weight[0] if per_channel else weight[1]
        dilation = attr_ints(op, "dilation")[0]
        macs = width * (math.prod(weight[:2]) * channels if per_channel else math.prod(weight))
    return Layer(
        (index,), shape[1], kernel, stride[0], dilation, pad[0], rows, _bytes(y) // rows, macs
    )


def _only_reader(op: Any) -> Any:
    """Return the operator that alone reads the result of `op`, as its first operand, or None."""
    uses = list(op.results[0].uses)
    if len(uses) != 1 or uses[0].operand_number != 0:
        return None
    reader = uses[0].owner.operation
    others = list(reader.operands)[1:]
    return reader if all(_is_constant(value) for value in others) else None


def _is_constant(value: ir.Value) -> bool:
    owner = value.owner
    return not isinstance(owner, ir.Block) and owner.name == "tosa.const"


def _bytes(value: ir.Value) -> int:
    bits: int = ir.IntegerType(element_of(value)).width
    return math.prod(shape_of(value)) * -(-bits // 8)


def _copy(module: ir.Module) -> ir.Module:
    with module.context, ir.Location.unknown():
        return ir.Module.parse(bytecode(module.operation))


def _rewrite(module: ir.Module, layers: Sequence[Layer], stripes: Sequence[Sequence[Rows]]) -> None:
    """Cut `layers`, a part of a chain, in `stripes`, as `Chain.stripes` returns them."""
    operations = list(entry_function(module).regions[0].blocks[0].operations)
    ops = [[operations[k].operation for k in layer.indices] for layer in layers]
    first, last = ops[0][0], ops[-1][-1]
    with module.context, ir.Location.unknown():
        ip = ir.InsertionPoint(last)
        x = first.operands[0]
        _, _, width, channels = shape_of(x)
        pieces = []
        for rows in stripes:
            b = Builder(first.location, ip)
            value = b.slice(x, [0, rows[0].begin, 0, 0], [1, rows[0].count, width, channels])
            for layer, read, made in zip(ops, rows, rows[1:], strict=False):
                for op in layer:
                    value = _with_rows(op, value, read, made.count, ip)
            pieces.append(value)
        joined = Builder(last.location, ip).concat(pieces, 1)
        last.results[0].replace_all_uses_with(joined)
        for layer in reversed(ops):
            for op in reversed(layer):
                op.erase()


def _with_rows(op: Any, x: ir.Value, read: Rows, count: int, ip: ir.InsertionPoint) -> ir.Value:
    """Build `op` on some rows of its input: `count` rows of its output."""
    attributes = dict(op.attributes.items())
    if "pad" in attributes:
        attributes["pad"] = i64_array([read.top, read.bottom, *attr_ints(op, "pad")[2:]])
    y = op.results[0]
    shape = shape_of(y)
    shape[1] = count
    operands = [x, *list(op.operands)[1:]]
    return Builder(op.location, ip).value(
        op.name, operands, tensor(shape, element_of(y)), **attributes
    )
