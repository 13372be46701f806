"""Reading elements at computed places: gathers, and lookups by index tensors or masks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import (
    DYNAMIC,
    QuantParams,
    element_of,
    i,
    is_float,
    is_signless_integer,
    shape_of,
    tensor,
)
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.quantization.arithmetic import dequantized_source, with_params
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import (
    broadcast,
    joined,
    last,
    part,
    refuse_many,
    static_shape,
)
from tosaic.lowering.torch_to_tosa.reduction import number_type
from tosaic.lowering.tosa.evaluate import known_value

SHARED = Quantized.SHARED
_FEW_RUNS = 16


# --- what indexing ops share ---------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """Values in the form in which TOSA moves them: stored integers if quantised, i8 for bool."""

    b: Builder
    values: list[ir.Value]
    element: ir.Type
    params: QuantParams | None

    def back(self, value: ir.Value) -> ir.Value:
        """Return a result in the element type that the op has."""
        if self.params is not None:
            return self.b.dcast(self.b.scast(value, self.params.type()))
        return Term(self.b, value).converted(self.element).value

    def number(self, value: float) -> ir.Value:
        """Return a number as one of the values, with a single dim."""
        if self.params is not None:
            value = float(self.params.quantize(np.array([value]))[0])
        return self.b.const(np.array([value]), element_of(self.values[0]))


def stored(b: Builder, *values: ir.Value) -> Stored:
    """Return `values`, of one element type, for moving; quantised ones get the first's scale."""
    element = element_of(values[0])
    sources = [dequantized_source(v) for v in values]
    known = [s for s in sources if s is not None]
    if len(known) == len(values):
        params = known[0][1]
        return Stored(b, [b.storage(with_params(b, *s, params)) for s in known], element, params)
    if is_signless_integer(element, 1):
        return Stored(b, [b.cast(v, i(8)) for v in values], element, None)
    return Stored(b, list(values), element, None)


def wrapped(b: Builder, index: ir.Value, size: int, data: ir.Value) -> ir.Value:
    """Return `index` into `data` with negative ones counted from the end of `size`.

    Constants are i32, what is computed is of the type to count in (see `number_type`).
    """
    known = known_value(index)
    if known is not None:
        return b.const(np.where(known < 0, known + size, known), i(32))
    place = Term(b, counted(b, index, size, data))
    return (place < 0).where(place + size, place).value


def counted(b: Builder, index: ir.Value, size: int, data: ir.Value) -> ir.Value:
    """Return `index` as `wrapped` does, where PyTorch refuses negative ones.

    Float targets move no integers, so there it is float until it is read.
    """
    index = b.cast(index, i(32))
    return index if known_value(index) is not None else b.cast(index, number_type(data, size))


def gather_rows(b: Builder, values: ir.Value, index: ir.Value) -> ir.Value:
    """Return rows `index` [N,W] of `values` [N,K,C]."""
    n, _, c = shape_of(values)
    result = tensor([n, shape_of(index)[1], c], element_of(values))
    return b.value("tosa.gather", [values, b.cast(index, i(32))], result)


def take_along(b: Builder, x: ir.Value, axis: int, index: ir.Value) -> ir.Value:
    """Return items `index` (of any shape) along `axis` of `x`: its dims in place of that one.

    A few runs of known items are slices, which run everywhere.
    """
    shape, wanted = shape_of(x), shape_of(index)
    known = known_value(index)
    runs = [] if known is None else _runs(known.reshape(-1))
    if 0 < len(runs) <= _FEW_RUNS:
        parts = [part(b, x, axis, run.start, len(run)) for run in runs]
        return b.reshape(joined(b, parts, axis), [*shape[:axis], *wanted, *shape[axis + 1 :]])
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    count = math.prod(wanted)
    rows = broadcast(b, b.reshape(index, [1, count]), [outer, count])
    found = gather_rows(b, b.reshape(x, [outer, shape[axis], inner]), rows)
    return b.reshape(found, [*shape[:axis], *wanted, *shape[axis + 1 :]])


def _runs(places: npt.NDArray[Any]) -> list[range]:
    """Return `places` as ranges of one after the other."""
    ends = [0, *(np.flatnonzero(np.diff(places) != 1) + 1), len(places)]
    return [
        range(int(places[start]), int(places[end - 1]) + 1)
        for start, end in itertools.pairwise(ends)
        if end > start
    ]


def pick(b: Builder, x: ir.Value, axis: int, index: ir.Value) -> ir.Value:
    """Return x[..., index[...], ...] along `axis`, index i32 of x's shape but for `axis`."""
    values, _ = last(b, x, axis)
    places, back = last(b, index, axis)
    found = gather_rows(b, b.reshape(values, [*shape_of(values), 1]), places)
    return back(b.reshape(found, shape_of(places)))


# --- gathers; of these, `take` and `take_along_dim` alone have negative indices ------------------


@lowers("torch.aten.gather", quantized=SHARED)
def gather(ctx: Lowering) -> ir.Value:
    """`gather(x, dim, index, sparse_grad)`; the index may be smaller in the other dims."""
    b, x, index = ctx.b, ctx.tensor(0), ctx.tensor(2)
    shape, wanted = static_shape(x), static_shape(index)
    data = stored(b, x)
    (values,) = data.values
    if not shape:
        return data.back(values if not wanted else b.reshape(values, wanted))
    axis = ctx.dim(1, len(shape))
    box = [shape[k] if k == axis else wanted[k] for k in range(len(shape))]
    values = b.slice(values, [0] * len(shape), box)
    return data.back(pick(b, values, axis, counted(b, index, shape[axis], values)))


@lowers("torch.aten.take_along_dim", quantized=SHARED)
def take_along_dim(ctx: Lowering) -> ir.Value:
    """`take_along_dim(x, index, dim?)`: the other dims broadcast."""
    b, x, index = ctx.b, ctx.tensor(0), ctx.tensor(1)
    data = stored(b, x)
    (values,) = data.values
    if ctx.is_none(2):
        count = math.prod(static_shape(x))
        places = b.reshape(
            wrapped(b, index, count, data.values[0]), [math.prod(static_shape(index))]
        )
        return data.back(take_along(b, b.reshape(values, [count]), 0, places))
    shape, wanted = static_shape(x), static_shape(index)
    axis = ctx.dim(2, len(shape))
    common = [max(n, m) for n, m in zip(shape, wanted, strict=True)]
    common[axis] = shape[axis]
    values = broadcast(b, values, common)
    common[axis] = wanted[axis]
    places = broadcast(b, wrapped(b, index, shape[axis], data.values[0]), common)
    return data.back(pick(b, values, axis, places))


@lowers("torch.aten.index_select", quantized=SHARED)
def index_select(ctx: Lowering) -> ir.Value:
    """`index_select(x, dim, index)`."""
    b, x = ctx.b, ctx.tensor(0)
    shape = static_shape(x)
    data = stored(b, x)
    if not shape:
        return x
    axis, index = ctx.dim(1, len(shape)), ctx.tensor(2)
    places = counted(b, index, shape[axis], data.values[0])
    places = b.reshape(places, [math.prod(static_shape(index))])
    return data.back(take_along(b, data.values[0], axis, places))


@lowers("torch.aten.take", quantized=SHARED)
def take(ctx: Lowering) -> ir.Value:
    """`take(x, index)`: of the elements in order."""
    b, x, index = ctx.b, ctx.tensor(0), ctx.tensor(1)
    count = math.prod(static_shape(x))
    static_shape(index)
    data = stored(b, x)
    values = b.reshape(data.values[0], [count])
    return data.back(take_along(b, values, 0, wrapped(b, index, count, data.values[0])))


# --- x[i, :, j] ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Places:
    """Where the index tensors of ``x[i, :, j]`` point.

    `perms` moves the indexed dims, from `start` on, next to each other; `sizes` are theirs.
    `index` numbers the elements of these dims in order, in the shape that the tensors broadcast to.
    """

    perms: list[int]
    start: int
    sizes: list[int]
    index: ir.Value


def _is_mask(value: ir.Value) -> bool:
    return is_signless_integer(element_of(value), 1)


class NothingSelected(Refusal):
    """Index tensors that select no element."""

    def __init__(self) -> None:
        super().__init__("it selects nothing, and TOSA has no empty tensors")


def index_operands(ctx: Lowering, index: int) -> list[ir.Value | None]:
    """Return the list of optional index tensors, masks as the tensors they stand for.

    Raises:
        NothingSelected: where one is empty, or a mask nowhere true.
        Refusal: where a mask is computed by the model.
    """
    owner = ctx.op.operands[index].owner
    if isinstance(owner, ir.Block) or owner.name != "torch.prim.ListConstruct":
        raise Refusal("the list of index tensors is not known when compiling")
    found: list[ir.Value | None] = []
    for operand in owner.operands:
        if str(operand.type) == "!torch.none":
            found.append(None)
            continue
        value = ctx.builtin(operand)
        if 0 in shape_of(value):
            raise NothingSelected
        if not _is_mask(value):
            found.append(value)
            continue
        mask = known_value(value)
        if mask is None:
            raise Refusal(
                "a bool mask that the model computes selects a number of elements that is known "
                "only when it runs; use torch.where, or multiply by the mask"
            )
        if not mask.any():
            raise NothingSelected
        found += [ctx.b.const(axis, i(32)) for axis in np.nonzero(mask)]
    return found


def places(b: Builder, data: ir.Value, indices: Sequence[ir.Value | None]) -> Places:
    """Return where `indices` point in `data`."""
    shape = shape_of(data)
    axes = [k for k, index in enumerate(indices) if index is not None]
    given = [index for index in indices if index is not None]
    rest = [k for k in range(len(shape)) if k not in axes]
    together = axes == list(range(axes[0], axes[0] + len(axes)))
    start = axes[0] if together else 0
    perms = [*rest[:start], *axes, *rest[start:]]
    common = list(np.broadcast_shapes(*(tuple(static_shape(index)) for index in given)))
    total: Term | None = None
    known = [known_value(index) for index in given]
    sizes = [shape[k] for k in axes]
    if all(k is not None for k in known):
        return Places(perms, start, sizes, _known_places(b, known, sizes, common))
    count = number_type(data, math.prod(sizes))
    for size, index in zip(sizes, given, strict=True):
        place = Term(b, b.cast(wrapped(b, index, size, data), count))
        total = place if total is None else total * size + place
    assert total is not None
    return Places(perms, start, sizes, broadcast(b, total.value, common))


def _known_places(
    b: Builder, known: Sequence[Any], sizes: Sequence[int], common: list[int]
) -> ir.Value:
    total: npt.NDArray[np.int64] = np.zeros(common, np.int64)
    for size, index in zip(sizes, known, strict=True):
        total = total * size + np.where(index < 0, index + size, index)
    return b.reshape(b.const(total.reshape(-1), i(32)), common)


@lowers(
    "torch.aten.index.Tensor",
    "torch.aten._unsafe_index.Tensor",
    "torch.aten.index.Tensor_hacked_twin",
    quantized=SHARED,
)
def index_tensor(ctx: Lowering) -> ir.Value:
    """`x[i, :, j]`: the dims of the index tensors come first where others are between."""
    b, x = ctx.b, ctx.tensor(0)
    static_shape(x)
    indices = index_operands(ctx, 1)
    if all(index is None for index in indices):
        return x
    data = stored(b, x)
    where = places(b, data.values[0], indices)
    moved = b.transpose(data.values[0], where.perms)
    before = shape_of(moved)[: where.start]
    after = shape_of(moved)[where.start + len(where.sizes) :]
    flat = b.reshape(moved, [*before, math.prod(where.sizes), *after])
    return data.back(take_along(b, flat, where.start, where.index))


@lowers("torch.aten.masked_select", quantized=SHARED)
def masked_select(ctx: Lowering) -> ir.Value:
    """`masked_select(x, mask)` with a mask that is known when compiling."""
    b, x, mask = ctx.b, ctx.tensor(0), known_value(ctx.tensor(1))
    if mask is None:
        raise _unknown_size("masked_select")
    shape = np.broadcast_shapes(tuple(static_shape(x)), mask.shape)
    taken = np.flatnonzero(np.broadcast_to(mask, shape))
    data = stored(b, x)
    flat = b.reshape(broadcast(b, data.values[0], shape), [math.prod(shape)])
    return data.back(take_along(b, flat, 0, b.const(taken, i(32))))


# --- comparing instead of reading ----------------------------------------------------------------


@lowers("torch.aten.one_hot")
def one_hot(ctx: Lowering) -> ir.Value:
    """`one_hot(x, classes)`."""
    b, x = ctx.b, ctx.tensor(0)
    classes = ctx.out_shape()[-1]
    if classes == DYNAMIC:
        raise Refusal("the number of classes depends on the data; pass num_classes to one_hot")
    index = b.reshape(b.cast(x, i(32)), [*static_shape(x), 1])
    numbers = np.arange(classes).reshape([1] * len(shape_of(x)) + [classes])
    hit = Term(b, index).equals(Term(b, b.const(numbers, i(32))))
    return hit.converted(ctx.out_element()).value


@lowers("torch.aten.isin.Tensor_Tensor")
def isin(ctx: Lowering) -> ir.Value:
    """`isin(elements, test_elements, assume_unique, invert)`."""
    b, x, tests = ctx.b, Term(ctx.b, ctx.tensor(0)), Term(ctx.b, ctx.tensor(1))
    if x.element != tests.element:
        raise Refusal("both tensors must have one dtype")
    shape, count = static_shape(x.value), math.prod(static_shape(tests.value))
    left = Term(b, b.reshape(x.value, [*shape, 1])).at_least_i32()
    right = Term(b, b.reshape(tests.value, [1] * len(shape) + [count])).at_least_i32()
    found = Term(b, b.reduce("tosa.reduce_any", left.equals(right).value, len(shape)))
    return b.reshape((~found if ctx.flag(3) else found).value, shape)


def _counted(ctx: Lowering, limits: ir.Value, x: Term, *, right: bool) -> ir.Value:
    """Return how many of sorted `limits` [..., n] come before each of `x` [..., m]."""
    b, shape = ctx.b, shape_of(x.value)
    bounds = Term(b, limits).converted(x.element).at_least_i32()
    own = static_shape(limits)
    if len(own) > 1:
        bounds = Term(b, b.reshape(bounds.value, [*own[:-1], 1, own[-1]]))
    wide = Term(b, b.reshape(x.value, [*shape, 1])).at_least_i32()
    # Negated, so that NaN comes behind all.
    before = ~(bounds > wide) if right else ~(bounds >= wide)
    ones = before.converted(number_type(x.value, own[-1])).value
    total = b.reshape(b.reduce("tosa.reduce_sum", ones, len(shape)), ctx.out_shape())
    return b.cast(b.cast(total, i(32)), ctx.out_element())


@lowers("torch.aten.searchsorted.Tensor", "torch.aten.searchsorted.Scalar")
def searchsorted(ctx: Lowering) -> ir.Value:
    """`searchsorted(limits, x, out_int32, right, side?, sorter?)`, by counting."""
    b, limits = ctx.b, ctx.tensor(0)
    right = ctx.flag(3) if ctx.is_none(4) else ctx.text(4) == "right"
    if ctx.is_scalar(1):
        x = Term(b, b.const(np.array([ctx.scalar(1)]), element_of(limits)))
    else:
        x = Term(b, ctx.tensor(1))
    shape = static_shape(x.value)
    refuse_many(math.prod(shape) * static_shape(limits)[-1], "the search")
    if not ctx.is_none(5):
        limits = pick(b, limits, len(shape_of(limits)) - 1, b.cast(ctx.tensor(5), i(32)))
    if is_float(element_of(limits)) and not is_float(x.element):
        x = x.converted(element_of(limits))
    return _counted(ctx, limits, x, right=right)


@lowers("torch.aten.bucketize.Tensor")
def bucketize(ctx: Lowering) -> ir.Value:
    """`bucketize(x, limits, out_int32, right)`."""
    limits, x = ctx.tensor(1), Term(ctx.b, ctx.tensor(0))
    refuse_many(math.prod(static_shape(x.value)) * static_shape(limits)[0], "the search")
    if is_float(element_of(limits)) and not is_float(x.element):
        x = x.converted(element_of(limits))
    return _counted(ctx, limits, x, right=ctx.flag(3))


# --- refused -------------------------------------------------------------------------------------

_DATA_DEPENDENT = (
    *("nonzero", "nonzero_numpy", "argwhere", "_unique2", "unique_consecutive"),
    *("unique_dim", "bincount"),
)


@lowers(*(f"torch.aten.{name}" for name in _DATA_DEPENDENT))
def data_dependent(ctx: Lowering) -> ir.Value:
    """Refused: the shape of the result depends on the data."""
    raise _unknown_size(aten_name(ctx).removeprefix("torch.aten."))


def _unknown_size(name: str) -> Refusal:
    return Refusal(
        f"the size of what {name} returns is known only when the model runs, and a compiled "
        "program has fixed shapes; use torch.where or a mask of the full size instead"
    )
