"""Distances between vectors: one by one, all pairs of two sets, all pairs of one."""

from __future__ import annotations

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import i, shape_of
from tosaic.lowering.ops import Lowering, lowers
from tosaic.lowering.torch_to_tosa.formula import Term, square_root
from tosaic.lowering.torch_to_tosa.indexing import take_along
from tosaic.lowering.torch_to_tosa.linear import matmul
from tosaic.lowering.torch_to_tosa.pieces import static_shape
from tosaic.lowering.torch_to_tosa.statistics import vector_norm

_NEVER_BY_PRODUCTS = 2  # PyTorch's name for it: donot_use_mm_for_euclid_dist
_ALWAYS_BY_PRODUCTS = 1
_MANY = 25  # vectors, from which on PyTorch computes Euclidean distances by products


def _last_norm(b: Builder, x: ir.Value, order: float) -> ir.Value:
    return vector_norm(b, x, order, [len(shape_of(x)) - 1])


@lowers("torch.aten.dist", precise=True)
def dist(ctx: Lowering) -> ir.Value:
    """`dist(x, y, p)`: the norm of the difference."""
    b = ctx.b
    apart = b.sub(*(b.cast(ctx.tensor(n), ctx.out_element()) for n in (0, 1)))
    whole = list(range(len(shape_of(apart))))
    return b.reshape(vector_norm(b, apart, ctx.real(2), whole), ctx.out_shape())


@lowers("torch.aten.pairwise_distance", precise=True)
def pairwise_distance(ctx: Lowering) -> ir.Value:
    """`pairwise_distance(x, y, p, eps, keepdim)`: of the vectors along the last dim."""
    b = ctx.b
    x, y = (b.cast(ctx.tensor(n), ctx.out_element()) for n in (0, 1))
    apart = (Term(b, x) - Term(b, y) + ctx.real(3)).value
    return b.reshape(_last_norm(b, apart, ctx.real(2)), ctx.out_shape())


@lowers("torch.aten.cdist", "torch.aten._cdist_forward", "torch.aten._euclidean_dist", precise=True)
def cdist(ctx: Lowering) -> ir.Value:
    """`cdist(x, y, p, mode?)`: from each of x [..., P, M] to each of y [..., R, M]."""
    b = ctx.b
    x, y = b.equal_ranks(ctx.tensor(0), ctx.tensor(1))
    rows, columns = static_shape(x)[-2], static_shape(y)[-2]
    known = len(ctx.op.operands) > 2
    order = ctx.real(2) if known else 2.0
    mode = ctx.integer(3) if known and not ctx.is_none(3) else 0 if known else _ALWAYS_BY_PRODUCTS
    many = mode == _ALWAYS_BY_PRODUCTS or max(rows, columns) > _MANY
    if order == 2 and many and mode != _NEVER_BY_PRODUCTS:
        return b.reshape(_by_products(b, x, y), ctx.out_shape())
    left = b.reshape(x, [*shape_of(x)[:-1], 1, shape_of(x)[-1]])
    right = b.reshape(y, [*shape_of(y)[:-2], 1, *shape_of(y)[-2:]])
    return b.reshape(_last_norm(b, b.sub(left, right), order), ctx.out_shape())


def _by_products(b: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return the root of ``|x|**2 + |y|**2 - 2 x y``: one matrix product, and less memory."""
    rank = len(shape_of(x))
    swapped = [*range(rank - 2), rank - 1, rank - 2]
    squares = [b.reduce("tosa.reduce_sum", b.mul(v, v), rank - 1) for v in (x, y)]
    total = Term(b, squares[0]) + Term(b, b.transpose(squares[1], swapped))
    product = Term(b, matmul(b, x, b.transpose(y, swapped)))
    return square_root(total - product * 2).value


@lowers("torch.aten.pdist", "torch.aten._pdist_forward", precise=True)
def pdist(ctx: Lowering) -> ir.Value:
    """`pdist(x, p)`: from each vector to each later one."""
    b, x = ctx.b, ctx.tensor(0)
    pairs = np.triu_indices(static_shape(x)[0], 1)
    ends = [take_along(b, x, 0, b.const(index, i(32))) for index in pairs]
    return b.reshape(_last_norm(b, b.sub(*ends), ctx.real(1)), ctx.out_shape())
