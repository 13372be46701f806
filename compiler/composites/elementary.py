"""Ops of floats in terms of simpler ones that have an integer form each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.fx import Node

from tosaic.composites.composite import decomposes
from tosaic.graph.emitter import Emitter

aten = torch.ops.aten

_MOST_FACTORS = 1024  # of a product along a dim


def _clamp(e: Emitter, x: Node, low: Node | None = None, high: Node | None = None) -> Node:
    if low is not None:
        x = e(aten.maximum.default, x, low)
    return x if high is None else e(aten.minimum.default, x, high)


def _add_scaled(e: Emitter, total: Node, x: Node, value: float) -> Node:
    return e(aten.add.Tensor, total, x if value == 1 else e(aten.mul.Tensor, x, value))


def _addcmul(e: Emitter, total: Node, x: Node, y: Node, *, value: float = 1) -> Node:
    return _add_scaled(e, total, e(aten.mul.Tensor, x, y), value)


def _addcdiv(e: Emitter, total: Node, x: Node, y: Node, *, value: float = 1) -> Node:
    return _add_scaled(e, total, e(aten.div.Tensor, x, y), value)


def _lerp(e: Emitter, x: Node, y: Node, weight: Any) -> Node:
    return e(aten.add.Tensor, x, e(aten.mul.Tensor, e(aten.sub.Tensor, y, x), weight))


def _hypot(e: Emitter, x: Node, y: Node) -> Node:
    squares = [e(aten.square.default, v) for v in (x, y)]
    return e(aten.sqrt.default, e(aten.add.Tensor, *squares))


def _divided(e: Emitter, x: Node, y: Any, *, rounding_mode: str | None = None) -> Node:
    quotient = e(aten.div.Tensor, x, y)
    if rounding_mode is None:
        return quotient
    return e(aten.floor.default if rounding_mode == "floor" else aten.trunc.default, quotient)


def _rest(rounding_mode: str, e: Emitter, x: Node, y: Any) -> Node:
    whole = _divided(e, x, y, rounding_mode=rounding_mode)
    return e(aten.sub.Tensor, x, e(aten.mul.Tensor, whole, y))


def _copysign(e: Emitter, x: Node, y: Node) -> Node:
    size = e(aten.abs.default, x)
    negative = e(aten.lt.Scalar, y, 0)
    return e(aten.where.self, negative, e(aten.neg.default, size), size)


def _heaviside(e: Emitter, x: Node, at_zero: Node) -> Node:
    step = e(aten._to_copy.default, e(aten.gt.Scalar, x, 0), dtype=x.meta["val"].dtype)
    return e(aten.where.self, e(aten.eq.Scalar, x, 0), at_zero, step)


def _xlogy(e: Emitter, x: Node, y: Node) -> Node:
    return e(aten.mul.Tensor, x, e(aten.log.default, y))


def _logaddexp(base: float, e: Emitter, x: Node, y: Node) -> Node:
    shape = list(e.origin.meta["val"].shape)
    both = e(aten.stack.default, [e(aten.expand.default, v, shape) for v in (x, y)], len(shape))
    if base != math.e:
        both = e(aten.mul.Tensor, both, math.log(base))
    out = e(aten.logsumexp.default, both, [len(shape)])
    return out if base == math.e else e(aten.mul.Tensor, out, 1 / math.log(base))


def _isclose(
    e: Emitter, x: Node, y: Node, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Node:
    del equal_nan  # integers have no NaN
    distance = e(aten.abs.default, e(aten.sub.Tensor, x, y))
    allowed = e(aten.mul.Tensor, e(aten.abs.default, y), rtol)
    return e(aten.le.Tensor, distance, e(aten.add.Tensor, allowed, atol))


def _compared(target: Any, limit: float, e: Emitter, x: Node) -> Node:
    return e(target, x, limit)


def _of_truth(e: Emitter, x: Any, *args: Any, **kwargs: Any) -> Node:
    """The same op of whether its tensors differ from 0."""
    tensors = [v for v in (x, *args) if isinstance(v, Node)]
    others = args[len(tensors) - 1 :]
    return e(e.origin.target, *(_truth(e, v) for v in tensors), *others, **kwargs)


def _truth(e: Emitter, x: Node) -> Node:
    return e(aten.ne.Scalar, x, 0) if x.meta["val"].is_floating_point() else x


def _with_mean(
    spread: Any,
    e: Emitter,
    x: Node,
    dim: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> tuple[Node, Node]:
    dims = list(dim) if dim else list(range(len(e.shape(x))))
    out = e(spread, x, dims, correction=correction, keepdim=keepdim)
    return out, e(aten.mean.dim, x, dims, keepdim)


def _with_mean_of(
    spread: Any,
    e: Emitter,
    x: Node,
    dim: Sequence[int] | bool | None = None,
    unbiased: bool = True,
    keepdim: bool = False,
) -> tuple[Node, Node]:
    if isinstance(dim, bool):  # of all elements there is no dim, and this is `unbiased`
        return _with_mean(spread, e, x, correction=int(dim))
    return _with_mean(spread, e, x, dim, correction=int(unbiased), keepdim=keepdim)


def _vector_norm(
    e: Emitter,
    x: Node,
    order: float = 2,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Node | None:
    if order in (0, 1, 2, math.inf, -math.inf) or dtype not in (None, x.meta["val"].dtype):
        return None
    dims = list(range(len(e.shape(x)))) if dim is None else list(dim)
    powers = e(aten.pow.Tensor_Scalar, e(aten.abs.default, x), order)
    return e(aten.pow.Tensor_Scalar, e(aten.sum.dim_IntList, powers, dims, keepdim), 1 / order)


def _factors(e: Emitter, x: Node, dim: int, dtype: Any) -> int:
    """Return how many elements are multiplied along `dim`, 0 where it is not done in parts."""
    shape = e.shape(x)
    same = dtype in (None, x.meta["val"].dtype)
    return shape[dim] if same and shape and shape[dim] <= _MOST_FACTORS else 0


def _product(
    e: Emitter, x: Node, dim: int = 0, keepdim: bool = False, *, dtype: Any = None
) -> Node | None:
    if not _factors(e, x, dim, dtype):
        return None
    while (count := e.shape(x)[dim]) > 1:
        half = count // 2
        low, high = (e(aten.slice.Tensor, x, dim, n, n + half) for n in (0, half))
        product = e(aten.mul.Tensor, low, high)
        if count % 2:
            last = e(aten.slice.Tensor, x, dim, count - 1, count)
            product = e(aten.cat.default, [product, last], dim)
        x = product
    return x if keepdim else e(aten.squeeze.dim, x, dim)


def _product_of_all(e: Emitter, x: Node, *, dtype: Any = None) -> Node | None:
    return _product(e, e(aten.reshape.default, x, [-1]), dtype=dtype)


def _cumprod(e: Emitter, x: Node, dim: int, *, dtype: Any = None) -> Node | None:
    """Products of runs of twice the length each time; Hillis and Steele, 1986."""
    count = _factors(e, x, dim, dtype)
    if not count:
        return None
    step = 1
    while step < count:
        first = e(aten.slice.Tensor, x, dim, 0, step)
        left = e(aten.slice.Tensor, x, dim, 0, count - step)
        right = e(aten.slice.Tensor, x, dim, step, count)
        x = e(aten.cat.default, [first, e(aten.mul.Tensor, left, right)], dim)
        step *= 2
    return x


def _affine_grid(e: Emitter, theta: Node, size: Sequence[int], align_corners: bool) -> Node:
    count, dims, columns = e.shape(theta)
    units = torch.zeros(columns, dims, columns)
    units[torch.arange(columns), 0, torch.arange(columns)] = 1
    # The op is linear in theta: a unit in its first row gives a column of the grid's own places.
    places = aten.affine_grid_generator.default(units, [columns, *size[1:]], align_corners)
    grid = e.constant("_grid", places[..., 0].reshape(columns, -1).mT.contiguous()[None])
    rows = e(aten.expand.default, grid, [count, *e.shape(grid)[1:]])
    out = e(aten.bmm.default, rows, e(aten.permute.default, theta, [0, 2, 1]))
    return e(aten.reshape.default, out, [count, *size[2:], dims])


def _bucketize(
    e: Emitter, x: Node, boundaries: Node, *, out_int32: bool = False, right: bool = False
) -> Node | None:
    known = e.value(boundaries)
    if known is None or known.ndim != 1:
        return None
    below = e(
        aten.ge.Tensor if right else aten.gt.Tensor, e(aten.unsqueeze.default, x, -1), boundaries
    )
    return e(aten.sum.dim_IntList, below, [-1], dtype=torch.int32 if out_int32 else torch.int64)


def _searchsorted(e: Emitter, boundaries: Node, x: Node, **options: Any) -> Node | None:
    given = {k: v for k, v in options.items() if v}
    if given.pop("side", "left") == "right":
        given["right"] = True
    return None if given.keys() - {"out_int32", "right"} else _bucketize(e, x, boundaries, **given)


def _softmax(e: Emitter, x: Node, dim: int, dtype: Any = None) -> Node | None:
    return e(aten.softmax.int, x, dim) if dtype in (None, x.meta["val"].dtype) else None


_BOOLEAN = (
    *(aten.logical_and.default, aten.logical_or.default, aten.logical_xor.default),
    *(aten.logical_not.default, aten.count_nonzero.default, aten.count_nonzero.dim_IntList),
    *(aten.any.default, aten.any.dim, aten.any.dims),
    *(aten.all.default, aten.all.dim, aten.all.dims),
)

# Op → what builds it of others, for operands that are floats; None where it cannot.
_ELEMENTARY: dict[Any, Callable[..., Node | tuple[Node, ...] | None]] = {
    aten.clamp.Tensor: _clamp,
    aten.addcmul.default: _addcmul,
    aten.addcdiv.default: _addcdiv,
    aten.lerp.Tensor: _lerp,
    aten.lerp.Scalar: _lerp,
    aten.hypot.default: _hypot,
    aten.div.Tensor_mode: _divided,
    aten.div.Scalar_mode: _divided,
    aten.floor_divide.default: partial(_divided, rounding_mode="floor"),
    aten.remainder.Tensor: partial(_rest, "floor"),
    aten.remainder.Scalar: partial(_rest, "floor"),
    aten.fmod.Tensor: partial(_rest, "trunc"),
    aten.fmod.Scalar: partial(_rest, "trunc"),
    aten.copysign.Tensor: _copysign,
    aten.heaviside.default: _heaviside,
    aten.xlogy.Tensor: _xlogy,
    aten.logaddexp.default: partial(_logaddexp, math.e),
    aten.logaddexp2.default: partial(_logaddexp, 2),
    aten.isclose.default: _isclose,
    aten.signbit.default: partial(_compared, aten.lt.Scalar, 0),
    # Quantised values are finite, all of them.
    aten.isfinite.default: partial(_compared, aten.lt.Scalar, math.inf),
    aten.isnan.default: partial(_compared, aten.gt.Scalar, math.inf),
    aten.isinf.default: partial(_compared, aten.gt.Scalar, math.inf),
    aten.isposinf.default: partial(_compared, aten.gt.Scalar, math.inf),
    aten.isneginf.default: partial(_compared, aten.lt.Scalar, -math.inf),
    **dict.fromkeys(_BOOLEAN, _of_truth),
    aten.var_mean.correction: partial(_with_mean, aten.var.correction),
    aten.std_mean.correction: partial(_with_mean, aten.std.correction),
    aten.var_mean.dim: partial(_with_mean_of, aten.var.correction),
    aten.var_mean.default: partial(_with_mean_of, aten.var.correction),
    aten.std_mean.dim: partial(_with_mean_of, aten.std.correction),
    aten.std_mean.default: partial(_with_mean_of, aten.std.correction),
    aten.linalg_vector_norm.default: _vector_norm,
    aten.prod.default: _product_of_all,
    aten.prod.dim_int: _product,
    aten.cumprod.default: _cumprod,
    aten.affine_grid_generator.default: _affine_grid,
    aten.bucketize.Tensor: _bucketize,
    aten.searchsorted.Tensor: _searchsorted,
    aten._safe_softmax.default: _softmax,
}
for _op, _parts in _ELEMENTARY.items():
    decomposes(_op, of_floats=True)(_parts)
