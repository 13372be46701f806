"""Diagonals and triangles of matrices, and matrices made from diagonals."""

from __future__ import annotations

import math

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import i, shape_of
from tosaic.lowering.ops import Lowering, Quantized, Refusal, Trait, lowers
from tosaic.lowering.torch_to_tosa.formula import Term, compute_type
from tosaic.lowering.torch_to_tosa.indexing import stored
from tosaic.lowering.torch_to_tosa.operators import aten_name
from tosaic.lowering.torch_to_tosa.pieces import joined, part, restored, static_shape
from tosaic.lowering.torch_to_tosa.windows import strided_slice

_SHARED = Quantized.SHARED


def diagonal_of(b: Builder, x: ir.Value, offset: int) -> ir.Value:
    """Return the diagonal of the last two dims: every (columns + 1)-th element."""
    *batch, rows, columns = shape_of(x)
    start = offset if offset >= 0 else -offset * columns
    count = min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns)
    if count <= 0:
        raise Refusal("the diagonal is empty")
    flat = b.reshape(x, [math.prod(batch), rows * columns])
    return b.reshape(strided_slice(b, flat, 1, start, count, columns + 1), [*batch, count])


def diagonal_matrix(b: Builder, x: ir.Value, offset: int) -> ir.Value:
    """Return `x` [..., n] on a diagonal of matrices of zeros."""
    *batch, count = shape_of(x)
    size, outer = count + abs(offset), math.prod(batch)
    rows = b.pad(b.reshape(x, [outer, count, 1]), [(0, 0), (0, 0), (0, size)])
    flat = b.reshape(rows, [outer, count * (size + 1)])
    start = offset if offset >= 0 else -offset * size
    missing = size * size - start - count * (size + 1)
    if start or missing > 0:
        flat = b.pad(flat, [(0, 0), (start, max(0, missing))])
    return b.reshape(part(b, flat, 1, 0, size * size), [*batch, size, size])


@lowers("torch.aten.diagonal", "torch.aten.linalg_diagonal", quantized=_SHARED, traits=Trait.MOVES)
def diagonal(ctx: Lowering) -> ir.Value:
    """`diagonal(x, offset, dim1, dim2)`."""
    b, x = ctx.b, ctx.tensor(0)
    rank = len(static_shape(x))
    dims = [ctx.dim(2, rank), ctx.dim(3, rank)]
    order = [k for k in range(rank) if k not in dims] + dims
    return diagonal_of(b, b.transpose(x, order), ctx.integer(1))


@lowers("torch.aten.diag_embed", quantized=_SHARED, traits=Trait.MOVES)
def diag_embed(ctx: Lowering) -> ir.Value:
    """`diag_embed(x, offset, dim1, dim2)`."""
    b, x = ctx.b, ctx.tensor(0)
    static_shape(x)
    rank = len(ctx.out_shape())
    dims = [ctx.dim(2, rank), ctx.dim(3, rank)]
    made = diagonal_matrix(b, x, ctx.integer(1))
    order = [k for k in range(rank) if k not in dims] + dims
    return restored(b, made, order)


@lowers("torch.aten.diag", "torch.aten.diagflat", quantized=_SHARED, traits=Trait.MOVES)
def diag(ctx: Lowering) -> ir.Value:
    """`diag(x, offset)`: of a matrix its diagonal, of a vector a matrix."""
    b, x = ctx.b, ctx.tensor(0)
    shape = static_shape(x)
    if aten_name(ctx).endswith("diagflat"):
        x = b.reshape(x, [math.prod(shape)])
    make = diagonal_matrix if len(shape_of(x)) == 1 else diagonal_of
    return make(b, x, ctx.integer(1))


@lowers("torch.aten.trace", quantized=Quantized.RESCALED)
def trace(ctx: Lowering) -> ir.Value:
    """The sum of the diagonal."""
    b, x = ctx.b, ctx.tensor(0)
    static_shape(x)
    line = Term(b, diagonal_of(b, x, 0)).converted(compute_type(ctx.out_element())).value
    return b.reshape(b.reduce("tosa.reduce_sum", line, 0), ctx.out_shape())


@lowers("torch.aten.tril", "torch.aten.triu", quantized=_SHARED, traits=Trait.MOVES)
def tril(ctx: Lowering) -> ir.Value:
    """`tril(x, diagonal)` and `triu`: zeros on one side of a diagonal."""
    b, x = ctx.b, ctx.tensor(0)
    shape = static_shape(x)
    keep = np.tril if aten_name(ctx).endswith("tril") else np.triu
    mask = keep(np.ones(shape[-2:], bool), ctx.integer(1))
    data = stored(b, x)
    (values,) = data.values
    ones = [1] * (len(shape) - 2)
    zero = b.reshape(data.number(0), [1] * len(shape))
    return data.back(b.select(b.const(mask.reshape(*ones, *mask.shape), i(1)), values, zero))


@lowers("torch.aten.block_diag", quantized=_SHARED, traits=Trait.MOVES)
def block_diag(ctx: Lowering) -> ir.Value:
    """`block_diag(matrices)`: one behind the other along the diagonal, zeros elsewhere."""
    b, width, before = ctx.b, ctx.out_shape()[1], 0
    rows = []
    for value in ctx.tensors(0):
        block = b.reshape(b.cast(value, ctx.out_element()), [1, 1, *static_shape(value)][-2:])
        size = shape_of(block)[1]
        rows.append(b.pad(block, [(0, 0), (before, width - before - size)]))
        before += size
    return joined(b, rows, 0)
