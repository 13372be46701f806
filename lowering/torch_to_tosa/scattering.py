"""Writing elements at computed places.

TOSA's SCATTER must not write an element twice, which no compiler can promise for computed indices.
Here each element of the result looks for its last writer instead: comparisons with all indices,
then a gather and a select. That is defined for repeated indices too: the last one wins, as in
PyTorch on a CPU. Sums over the writers are exact in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import constant_value, element_of, i, is_float, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, lowers
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type, integer_quotient
from tosaic.lowering.torch_to_tosa.indexing import (
    NothingSelected,
    Stored,
    gather_rows,
    index_operands,
    places,
    stored,
    wrapped,
)
from tosaic.lowering.torch_to_tosa.linear import matmul
from tosaic.lowering.torch_to_tosa.pieces import (
    broadcast,
    last,
    refuse_many,
    restored,
    static_shape,
)
from tosaic.lowering.torch_to_tosa.promotion import number_of
from tosaic.lowering.torch_to_tosa.reduction import kept_from_folding, product_over, worst
from tosaic.lowering.tosa.evaluate import known_value

_SHARED = Quantized.SHARED
_MOST_SUMMED = 2**22


def writers(b: Builder, index: ir.Value, size: int) -> Term:
    """Return [N,K,W]: whether `index` [N,W] is k."""
    n, w = shape_of(index)
    refuse_many(n * w * size, "writing at computed indices")
    known = known_value(index)
    if known is not None:
        hit = known[:, None, :] == np.arange(size)[None, :, None]
        return Term(b, b.const(hit, i(1)))
    places_ = Term(b, b.reshape(index, [n, 1, w]))
    return places_.equals(Term(b, b.const(np.arange(size).reshape(1, size, 1), element_of(index))))


def last_writer(b: Builder, index: ir.Value, size: int) -> ir.Value:
    """Return [N,K]: the last w with ``index[n, w] == k``, -1 where there is none."""
    n, w = shape_of(index)
    known = known_value(index)
    if known is not None:
        found = np.full([n, size], -1)
        for row in range(n):
            found[row, known[row]] = np.arange(w)
        return b.const(found, i(32))
    numbers = Term(b, b.const(np.arange(w).reshape(1, 1, w), element_of(index)))
    where = writers(b, index, size).where(numbers, -1)
    return b.reshape(b.reduce("tosa.reduce_max", where.value, 2), [n, size])


def overwritten(b: Builder, x: ir.Value, index: ir.Value, source: ir.Value) -> ir.Value:
    """Return `x` [N,K,C] with rows `index` [N,W] replaced by `source` [N,W,C]."""
    n, k, _ = shape_of(x)
    writer = Term(b, last_writer(b, index, k))
    known = known_value(writer.value)
    if known is not None:
        rows = gather_rows(b, source, b.const(np.maximum(known, 0), i(32)))
        return b.select(b.const((known >= 0)[:, :, None], i(1)), rows, x)
    rows = gather_rows(b, source, writer.maximum(0).value)
    return b.select(b.reshape((writer >= 0).value, [n, k, 1]), rows, x)


_IDENTITY = {"add": 0.0, "sum": 0.0, "mean": 0.0, "prod": 1.0, "multiply": 1.0}


def _identity(mode: str, element: ir.Type) -> float:
    if mode not in ("amax", "amin"):
        return _IDENTITY[mode]
    return worst(element, largest=mode == "amax")


def _combined(x: Term, y: Term, mode: str) -> Term:
    if mode in ("add", "sum", "mean"):
        return x + y
    if mode in ("prod", "multiply"):
        return x * y
    return x.maximum(y) if mode == "amax" else x.minimum(y)


def accumulated(
    b: Builder,
    x: ir.Value,
    index: ir.Value,
    source: ir.Value,
    mode: str = "sum",
    *,
    include: bool = True,
) -> ir.Value:
    """Return `x` [N,K,C] with `source` [N,W,C] combined into rows `index` [N,W] by `mode`.

    Without `include` the rows that are written start from nothing.
    """
    (n, k, c), w = shape_of(x), shape_of(index)[1]
    element = element_of(x)
    hit = writers(b, index, k)
    wide = Term(b, b.reshape(hit.value, [n, k, w, 1]))
    if n * k * w * c > _MOST_SUMMED:
        if mode not in ("add", "sum") or not is_float(element):
            refuse_many(n * k * w * c, "combining what is written at computed indices")
        ones = matmul(b, hit.converted(element).value, source)
        return b.add(x, ones) if include else b.select(_any(b, hit, 2), ones, x)
    start = _identity(mode, element)
    parts = wide.where(Term(b, b.reshape(source, [n, 1, w, c])), start).value
    if mode in ("prod", "multiply"):
        total = product_over(b, parts, [2])
    else:
        kind = {"amax": "reduce_max", "amin": "reduce_min"}.get(mode, "reduce_sum")
        total = b.reduce(f"tosa.{kind}", parts, 2)
    result = Term(b, b.reshape(total, [n, k, c]))
    given, written = Term(b, x), Term(b, _any(b, hit, 2))
    if include:
        result = _combined(given, result, mode)
    if mode == "mean":
        counting = element if is_float(element) else i(32)
        counts = Term(b, b.reduce("tosa.reduce_sum", hit.converted(counting).value, 2))
        result = _divided(result, counts + 1 if include else counts.maximum(1))
    return written.where(result, given).value


def _divided(total: Term, count: Term) -> Term:
    """Return ``total / count``; of integers the next one below."""
    if is_float(total.element):
        return total / count
    q, r = integer_quotient(total.converted(count.element), count)
    return (r < 0).where(q - 1, q).converted(total.element)


def _any(b: Builder, hit: Term, axis: int) -> ir.Value:
    return b.reduce("tosa.reduce_any", hit.value, axis)


# --- scatter -------------------------------------------------------------------------------------

_Write = Callable[[ir.Value, ir.Value, ir.Value], ir.Value]


def _scattered(ctx: Lowering, data: Stored, write: _Write) -> ir.Value:
    """Lower `scatter(x, dim, index, …)`: of each line along `dim`, the part that index covers."""
    b = ctx.b
    x, source = data.values
    whole = shape_of(x)
    if not whole:
        x, source = b.reshape(x, [1]), b.reshape(source, [1])
    axis = ctx.dim(1, len(shape_of(x)))
    size = shape_of(x)[axis]
    index = ctx.tensor(2)
    if not shape_of(index):
        index = b.reshape(index, [1])
    shape, covered = shape_of(x), static_shape(index)
    if math.prod(shape_of(source)) == 1:
        source = broadcast(b, source, covered)
    source = b.slice(source, [0] * len(covered), covered)
    box = [shape[k] if k == axis else covered[k] for k in range(len(shape))]
    lines, back = last(b, b.slice(x, [0] * len(shape), box), axis)
    places_, _ = last(b, wrapped(b, index, size, x), axis)
    values, _ = last(b, source, axis)
    x3, values3 = (b.reshape(v, [*shape_of(v), 1]) for v in (lines, values))
    part = back(b.reshape(write(x3, places_, values3), shape_of(lines)))
    result = b.reshape(_inserted(b, x, part, [0] * len(shape)), whole)
    return data.back(result if whole else kept_from_folding(b, result))


def _inserted(b: Builder, x: ir.Value, part: ir.Value, start: list[int]) -> ir.Value:
    """Return `x` with the box at `start` replaced by `part`, by slices and concats."""
    shape = shape_of(x)
    for axis in reversed(range(len(shape))):
        size, begin = shape_of(part)[axis], start[axis]
        if size == shape[axis]:
            continue
        box = shape_of(part)
        pieces = []
        for low, high in ((0, begin), (begin + size, shape[axis])):
            at = [low if k == axis else start[k] if k < axis else 0 for k in range(len(shape))]
            box[axis] = high - low
            if high > low:
                pieces.append((low, b.slice(x, at, list(box))))
        pieces.append((begin, part))
        part = b.concat([piece for _, piece in sorted(pieces, key=lambda p: p[0])], axis)
    return part


def _written_values(ctx: Lowering, index: int) -> Stored:
    """Return operands 0 and `index`, a tensor or a number, for moving."""
    b, x = ctx.b, ctx.tensor(0)
    static_shape(x)
    if not ctx.is_scalar(index):
        source = Term(b, ctx.tensor(index)).converted(element_of(x)).value
        known = constant_value(source)
        if known is None or known.size != 1:
            static_shape(source)
            return stored(b, x, source)
        number = known.item()
    else:
        number = ctx.scalar(index)
    data = stored(b, x)
    value = data.number(number)
    rank = max(1, len(shape_of(x)))
    return Stored(b, [*data.values, b.reshape(value, [1] * rank)], data.element, data.params)


@lowers("torch.aten.scatter.src", "torch.aten.scatter.value", quantized=_SHARED)
def scatter(ctx: Lowering) -> ir.Value:
    """`scatter(x, dim, index, src)` and `scatter(x, dim, index, value)`."""
    b = ctx.b
    return _scattered(ctx, _written_values(ctx, 3), lambda *three: overwritten(b, *three))


def _for_sums(ctx: Lowering, index: int) -> Stored:
    """Return operands 0 and `index` in the type to compute in."""
    b, x = ctx.b, ctx.tensor(0)
    static_shape(x)
    own = element_of(x)
    element = compute_type(own)
    if ctx.is_scalar(index):
        source = b.const(np.full([1] * max(1, len(shape_of(x))), ctx.scalar(index)), element)
    else:
        source = Term(b, ctx.tensor(index)).converted(element).value
    return Stored(b, [Term(b, x).converted(element).value, source], own, None)


def _scatter_reduced(ctx: Lowering, mode: str, *, include: bool = True) -> ir.Value:
    b = ctx.b
    return _scattered(
        ctx, _for_sums(ctx, 3), lambda x, i, y: accumulated(b, x, i, y, mode, include=include)
    )


@lowers("torch.aten.scatter_add")
def scatter_add(ctx: Lowering) -> ir.Value:
    """`scatter_add(x, dim, index, src)`."""
    return _scatter_reduced(ctx, "sum")


@lowers(
    "torch.aten.scatter.reduce",
    "torch.aten.scatter.value_reduce",
    "torch.aten.scatter_reduce.two",
)
def scatter_reduce(ctx: Lowering) -> ir.Value:
    """`scatter_reduce(x, dim, index, src, mode, include_self)`."""
    include = len(ctx.op.operands) < 6 or ctx.flag(5)
    return _scatter_reduced(ctx, ctx.text(4), include=include)


# --- rows along a dim ----------------------------------------------------------------------------


def _rows_written(ctx: Lowering, data: Stored, write: _Write) -> ir.Value:
    """Lower `index_copy(x, dim, index, source)`: whole rows along `dim`."""
    b = ctx.b
    x, source = data.values
    shape = shape_of(x)
    if not shape:
        shape = [1]
    axis = ctx.dim(1, len(shape))
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    index = ctx.tensor(2)
    count = math.prod(static_shape(index))
    wanted = [*shape[:axis], count, *shape[axis + 1 :]]
    if math.prod(shape_of(source)) != math.prod(wanted):
        source = broadcast(b, source, wanted)
    # Rows along the first dim have one index for all that is behind.
    rows = b.transpose(b.reshape(x, [outer, shape[axis], inner]), (1, 0, 2))
    given = b.transpose(b.reshape(source, [outer, count, inner]), (1, 0, 2))
    places_ = b.reshape(wrapped(b, index, shape[axis], x), [1, count])
    result = write(
        b.reshape(rows, [1, shape[axis], outer * inner]),
        places_,
        b.reshape(given, [1, count, outer * inner]),
    )
    result = b.transpose(b.reshape(result, [shape[axis], outer, inner]), (1, 0, 2))
    return data.back(b.reshape(result, shape_of(x)))


@lowers(
    "torch.aten.index_copy",
    "torch.aten.index_fill.int_Scalar",
    "torch.aten.index_fill.int_Tensor",
    quantized=_SHARED,
)
def index_copy(ctx: Lowering) -> ir.Value:
    """`index_copy(x, dim, index, source)`, and `index_fill` with one value."""
    b = ctx.b
    return _rows_written(ctx, _written_values(ctx, 3), lambda *three: overwritten(b, *three))


@lowers("torch.aten.index_add")
def index_add(ctx: Lowering) -> ir.Value:
    """`index_add(x, dim, index, source, alpha)`."""
    b, data = ctx.b, _for_sums(ctx, 3)
    alpha = number_of(ctx, 4)
    if alpha is None:
        raise Refusal("its factor is computed by the model; multiply the source by it instead")
    if alpha != 1:
        scaled = (Term(b, data.values[1]) * alpha).value
        data = Stored(b, [data.values[0], scaled], data.element, None)
    return _rows_written(ctx, data, lambda *three: accumulated(b, *three))


@lowers("torch.aten.index_reduce")
def index_reduce(ctx: Lowering) -> ir.Value:
    """`index_reduce(x, dim, index, source, mode, include_self)`."""
    b, mode, include = ctx.b, ctx.text(4), ctx.flag(5)
    return _rows_written(
        ctx, _for_sums(ctx, 3), lambda x, i, y: accumulated(b, x, i, y, mode, include=include)
    )


# --- x[i, :, j] = y ------------------------------------------------------------------------------


def _mask_of(ctx: Lowering) -> ir.Value | None:
    """Return the mask of ``x[mask] = y`` where the model computes it."""
    owner = ctx.op.operands[1].owner
    if isinstance(owner, ir.Block) or len(owner.operands) != 1:
        return None
    if str(owner.operands[0].type) == "!torch.none":
        return None
    mask = ctx.builtin(owner.operands[0])
    return mask if str(element_of(mask)) == "i1" and known_value(mask) is None else None


def _masked(ctx: Lowering, mask: ir.Value, data: Stored, *, add: bool) -> ir.Value:
    """Write the values where `mask` is true, or add them; they are the same at every place."""
    b = ctx.b
    x, source = data.values
    shape, covered = shape_of(x), shape_of(mask)
    behind = len(shape) - len(covered)
    own = [1] * (len(shape) - len(shape_of(source))) + shape_of(source)
    if any(n != 1 for n in own[: len(covered)]):
        raise Refusal(
            "the values for a bool mask that the model computes must broadcast, as their number "
            "is known only when it runs; use torch.where or masked_fill"
        )
    wide = b.reshape(mask, [*covered, *[1] * behind])
    values = Term(b, broadcast(b, source, shape))
    written = Term(b, x) + values if add else values
    return data.back(Term(b, wide).where(written, Term(b, x)).value)


@lowers(
    "torch.aten.index_put",
    "torch.aten._unsafe_index_put",
    "torch.aten.index_put.hacked_twin",
    "torch.aten._index_put_impl",
    quantized=_SHARED,
)
def index_put(ctx: Lowering) -> ir.Value:
    """`index_put(x, indices, values, accumulate)`: ``x[i, :, j] = y`` or ``+= y``."""
    b = ctx.b
    mask = _mask_of(ctx)
    add = ctx.flag(3)
    if mask is not None:
        return _masked(ctx, mask, _for_sums(ctx, 2) if add else _written_values(ctx, 2), add=add)
    x = ctx.tensor(0)
    shape = static_shape(x)
    try:
        indices = index_operands(ctx, 1)
    except NothingSelected:
        return x
    data = _for_sums(ctx, 2) if add else _written_values(ctx, 2)
    where = places(b, data.values[0], indices)
    rows, count = math.prod(where.sizes), math.prod(shape_of(where.index))
    # Indexed dims first; the values have the index's dims where these were.
    rest = [k for k in where.perms if k not in where.perms[where.start :][: len(where.sizes)]]
    axes = where.perms[where.start :][: len(where.sizes)]
    order = [*axes, *rest]
    moved = b.transpose(data.values[0], order)
    inner = math.prod(shape[k] for k in rest)
    before = [shape[k] for k in rest[: where.start]]
    after = [shape[k] for k in rest[where.start :]]
    source = broadcast(b, _trimmed(b, data.values[1]), [
        *before, *shape_of(where.index), *after
    ])  # fmt: skip
    given = b.transpose(b.reshape(source, [math.prod(before), count, math.prod(after)]), (1, 0, 2))
    operands = (
        b.reshape(moved, [1, rows, inner]),
        b.reshape(where.index, [1, count]),
        b.reshape(given, [1, count, inner]),
    )
    result = accumulated(b, *operands) if add else overwritten(b, *operands)
    result = b.reshape(result, [shape[k] for k in order])
    return data.back(restored(b, result, order))


def _trimmed(b: Builder, source: ir.Value) -> ir.Value:
    """Return `source` without leading dims of 1 that a number written as a tensor has."""
    return b.reshape(source, [1]) if math.prod(shape_of(source)) == 1 else source


@lowers("torch.aten.put")
def put(ctx: Lowering) -> ir.Value:
    """`put(x, index, source, accumulate)`: of the elements in order."""
    b, x = ctx.b, ctx.tensor(0)
    shape = static_shape(x)
    size, count = math.prod(shape), math.prod(static_shape(ctx.tensor(1)))
    data = _for_sums(ctx, 2) if ctx.flag(3) else _written_values(ctx, 2)
    index = b.reshape(wrapped(b, ctx.tensor(1), size, data.values[0]), [1, count])
    operands = (
        b.reshape(data.values[0], [1, size, 1]),
        index,
        b.reshape(data.values[1], [1, count, 1]),
    )
    result = accumulated(b, *operands) if ctx.flag(3) else overwritten(b, *operands)
    return data.back(b.reshape(result, shape))


# --- at constant places --------------------------------------------------------------------------


@lowers("torch.aten.select_scatter", quantized=_SHARED)
def select_scatter(ctx: Lowering) -> ir.Value:
    """`select_scatter(x, source, dim, index)`: ``x.select(dim, index)[:] = source``."""
    b, data = ctx.b, _written_values(ctx, 1)
    x, source = data.values
    shape = shape_of(x)
    axis, start = ctx.dim(2, len(shape)), [0] * len(shape)
    start[axis] = ctx.integer(3) % shape[axis]
    row = b.reshape(source, [*shape[:axis], 1, *shape[axis + 1 :]])
    return data.back(_inserted(b, x, row, start))


@lowers("torch.aten.slice_scatter", quantized=_SHARED)
def slice_scatter(ctx: Lowering) -> ir.Value:
    """`slice_scatter(x, source, dim, start?, end?, step)`: ``x[start:end:step] = source``."""
    b, data = ctx.b, _written_values(ctx, 1)
    x, source = data.values
    shape = shape_of(x)
    axis, step = ctx.dim(2, len(shape)), ctx.integer(5)
    first, end, _ = slice(
        None if ctx.is_none(3) else ctx.integer(3), None if ctx.is_none(4) else ctx.integer(4)
    ).indices(shape[axis])
    numbers = np.arange(first, end, step)
    if step == 1:
        start = [0] * len(shape)
        start[axis] = first
        return data.back(_inserted(b, x, source, start) if len(numbers) else x)
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    index = b.const(np.tile(numbers, [outer, 1]), i(32))
    result = overwritten(
        b,
        b.reshape(x, [outer, shape[axis], inner]),
        index,
        b.reshape(source, [outer, len(numbers), inner]),
    )
    return data.back(b.reshape(result, shape))


@lowers("torch.aten.diagonal_scatter", quantized=_SHARED)
def diagonal_scatter(ctx: Lowering) -> ir.Value:
    """`diagonal_scatter(x, source, offset, dim1, dim2)`: ``x.diagonal(…)[:] = source``."""
    b, data = ctx.b, _written_values(ctx, 1)
    x, source = data.values
    shape, offset = shape_of(x), ctx.integer(2)
    first, second = ctx.dim(3, len(shape)), ctx.dim(4, len(shape))
    order = [k for k in range(len(shape)) if k not in (first, second)] + [first, second]
    rows, columns = shape[first], shape[second]
    count = shape_of(source)[-1]
    start = offset if offset >= 0 else -offset * columns
    batch = math.prod(shape) // (rows * columns)
    index = b.const(np.tile(start + np.arange(count) * (columns + 1), [batch, 1]), i(32))
    result = overwritten(
        b,
        b.reshape(b.transpose(x, order), [batch, rows * columns, 1]),
        index,
        b.reshape(source, [batch, count, 1]),
    )
    result = b.reshape(result, [shape[k] for k in order])
    return data.back(restored(b, result, order))


@lowers("torch.aten.masked_scatter")
def masked_scatter(ctx: Lowering) -> ir.Value:
    """Refused: which element comes next depends on the mask."""
    raise Refusal(
        "where its values go depends on how many elements the mask has before; use torch.where "
        "with values of the full size"
    )
