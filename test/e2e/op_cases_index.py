"""Cases of reductions, scans, indexing, sorting and rearranging; see op_cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from op_cases import Case, Function
from op_cases_elementwise import ElementwiseCase
from torch import Tensor, nn

from support.nets import Calls

Inputs = tuple[Tensor, ...]
CASES: list[Case] = []
SHAPE = (3, 4, 5)
_INT = {"target": "tosa-1.0-int+fp"}


def _case(name: str, fn: Function, draw: Callable[[], Inputs], **more: Any) -> None:
    quantizable = more.pop("quantizable", False)
    case = ElementwiseCase(
        name, lambda: Calls(fn), (), quantizable=quantizable, inputs=draw, **more
    )
    CASES.append(case)


def _real(*shapes: tuple[int, ...]) -> Callable[[], Inputs]:
    return lambda: tuple(torch.randn(s) for s in shapes or (SHAPE,))


def _whole(low: int = -9, high: int = 10, dtype: torch.dtype = torch.int32) -> Callable[[], Inputs]:
    return lambda: (torch.randint(low, high, SHAPE, dtype=dtype),)


def _bits() -> Inputs:
    return (torch.rand(SHAPE) > 0.3,)


def _with_nan() -> Inputs:
    x = torch.randn(SHAPE)
    return (torch.where(x > 0.7, math.nan, x),)


# --- reductions ----------------------------------------------------------------------------------

# Name -> function; those of the second table also run in int8.
for _name, _fn in {
    "sum_empty_dims": lambda x: x.sum(()),
    "prod": torch.prod,
    "prod_dim": lambda x: x.prod(-1, keepdim=True),
    "argmin": lambda x: x.argmin(1),
    "argmin_all": torch.argmin,
    "argmin_keep": lambda x: x.argmin(-2, keepdim=True),
    "argmax_all": torch.argmax,
    "max_dim_index": lambda x: x.max(1).indices,
    "min_dim_index": lambda x: x.min(-1, keepdim=True).indices,
    "any": lambda x: (x > 2).any(),
    "any_float": lambda x: torch.any(x, 1),
    "all_dim": lambda x: (x > -1).all(1, keepdim=True),
    "any_dims": lambda x: (x > 1).any((0, -1)),
    "all_dims": lambda x: (x > -1).all((0, 2)),
    "var_biased": lambda x: x.var(1, unbiased=False, keepdim=True),
    "var_mean_0": lambda x: torch.var_mean(x, 1)[0],
    "var_mean_1": lambda x: torch.var_mean(x, (0, 1), correction=0)[1],
    "std_mean_0": lambda x: torch.std_mean(x)[0],
    "vector_norm_0": lambda x: torch.linalg.vector_norm(torch.round(x), 0, -1),
    "vector_norm_3": lambda x: torch.linalg.vector_norm(x, 3, 1),
    "linalg_norm": lambda x: torch.linalg.norm(x, dim=-1),
    "linalg_norm_all": torch.linalg.norm,
    "linalg_norm_1": lambda x: torch.linalg.norm(x, 1, dim=0),
    "matrix_norm": torch.linalg.matrix_norm,
    "count_nonzero": lambda x: torch.count_nonzero(torch.round(x)),
    "count_nonzero_dim": lambda x: torch.count_nonzero(torch.round(x), 1),
    "count_nonzero_dims": lambda x: torch.count_nonzero(torch.round(x), (0, 2)),
    "cumprod": lambda x: x.cumprod(-1),
    "logcumsumexp": lambda x: x.logcumsumexp(2),
    "cummax_index": lambda x: torch.round(x).cummax(1).indices,
    "cummin_index": lambda x: torch.round(x).cummin(2).indices,
    "scalar_reductions": lambda x: x.sum().sum() + x.mean().amax() + x[0, 0, 0].max(0).values,
    "normalize": lambda x: F.normalize(x, dim=1),
}.items():
    _case(_name, _fn, _real())
for _name, _fn in {
    "logsumexp": lambda x: x.logsumexp(1),
    "logsumexp_dims": lambda x: x.logsumexp((0, -1), keepdim=True),
    "sum_all": torch.sum,
    "var": torch.var,
    "var_dim": lambda x: x.var(-1),
    "var_correction": lambda x: x.var((0, 2), correction=2),
    "std": torch.std,
    "std_dims": lambda x: x.std((1, 2), keepdim=True),
    "std_flag": lambda x: torch.std(x, False),
    "norm": torch.norm,
    "norm_dim": lambda x: x.norm(dim=1, keepdim=True),
    "norm_fro": lambda x: torch.norm(x, "fro", (1, 2)),
    "vector_norm_1": lambda x: torch.linalg.vector_norm(x, 1, (0, 2)),
    "vector_norm_inf": lambda x: torch.linalg.vector_norm(x, math.inf, 1),
    "vector_norm_least": lambda x: torch.linalg.vector_norm(x, -math.inf, 1),
    "sum_negative": lambda x: x.sum((-1, 0), keepdim=True),
    "mean_dtype": lambda x: x.mean(1, dtype=torch.float32),
    "nansum": torch.nansum,
    "nansum_dim": lambda x: torch.nansum(x, 1),
    "max_all": torch.max,
    "min_all": torch.min,
    "max_dim": lambda x: x.max(1).values,
    "min_dim": lambda x: x.min(-1, keepdim=True).values,
    "amin_dims": lambda x: x.amin((0, 2)),
    "amax_empty_dims": lambda x: x.amax(()),
    "aminmax_0": lambda x: torch.aminmax(x).min,
    "aminmax_1": lambda x: torch.aminmax(x, dim=1).max,
    "cumsum": lambda x: x.cumsum(1),
    "cumsum_last": lambda x: x.cumsum(-1),
    "cummax": lambda x: x.cummax(1).values,
    "cummin": lambda x: x.cummin(0).values,
}.items():
    _case(_name, _fn, _real(), quantizable=True)
_case("sum_bool", lambda x: (x > 0).sum(-1), _real(), **_INT)
_case("sum_int_dtype", lambda x: (x * 3).sum(1, dtype=torch.int32), _real(), **_INT)
_case("nansum_nan", lambda x: torch.nansum(x, 1), _with_nan)
_case("nanmean_nan", lambda x: torch.nanmean(x, 1), _with_nan)
_case("nanmedian_nan", lambda x: x.nanmedian(1).values, _with_nan)
_case("nanquantile_nan", lambda x: x.nanquantile(0.4, 1), _with_nan)
_case("dist", torch.dist, _real(SHAPE, SHAPE))
_case("cumsum_long", lambda x: x.cumsum(0), _real((130,)))
for _name, _fn in {
    "sum": lambda x: x.clip(-9, 9).sum(1),
    "prod": lambda x: x.clip(-4, 4).prod(1),
    "mean": lambda x: x.mean(dtype=torch.float32),
    "max": torch.max,
    "amin": lambda x: x.amin(1),
    "max_dim_index": lambda x: x.max(1).indices,
    "argmin": lambda x: x.argmin(0),
    "all": lambda x: x.all(1),
    "count_nonzero": torch.count_nonzero,
    "cumsum": lambda x: x.clip(-9, 9).cumsum(2),
    "cumprod": lambda x: x.clip(-4, 4).cumprod(1),
    "cummax": lambda x: x.cummax(1).values,
    "cummin_index": lambda x: x.cummin(1).indices,
}.items():
    _case(f"int_{_name}", _fn, _whole(-4, 5), **_INT)
    # What int64 would overflow int32 in is refused.
    if "prod" not in _name:
        _case(
            f"int64_{_name}",
            lambda x, fn=_fn: fn(x.clip(-4, 4)),  # type: ignore[misc]
            _whole(-4, 5, torch.int64),
            **_INT,
        )
for _name, _fn in {
    "sum": lambda x: x.sum(1),
    "max": lambda x: x.max(1).values,
    "argmin": lambda x: x.argmin(1),
    "cumsum": lambda x: x.cumsum(1),
    "cummax": lambda x: x.cummax(1).values,
    "sort": lambda x: x.sort(1).values,
    "any": lambda x: x.any(),
}.items():
    _case(f"i8_{_name}", _fn, _whole(-9, 10, torch.int8), **_INT)
for _name, _fn in {
    "sum": lambda x: x.sum(1),
    "amax": lambda x: x.amax(1),
    "all": torch.all,
    "any": lambda x: x.any(1),
    "cumsum": lambda x: x.cumsum(1),
    "flip": lambda x: x.flip(1),
    "index": lambda x: x[:, [2, 0]],
    "tril": torch.tril,
    "roll": lambda x: x.roll(1, 1),
}.items():
    _case(f"bits_{_name}", _fn, _bits, **_INT)

# --- indexing ------------------------------------------------------------------------------------

_FIRST = torch.tensor([2, 0, -1])
_LINES = torch.tensor([[0, 2], [1, -1]])
_PLACES = torch.randint(0, 4, (3, 4, 5), generator=torch.Generator().manual_seed(1))
_MASK = torch.tensor([True, False, True])


def _put(x: Tensor, places: Any, value: Any, *, add: bool = False) -> Tensor:
    x = x.clone()
    if add:
        x[places] += value
    else:
        x[places] = value
    return x


# Indices known when compiling; all of these only move elements.
for _name, _fn in {
    "gather": lambda x: x.gather(1, _PLACES),
    "gather_part": lambda x: x.gather(-1, _PLACES[:2, :3]),
    "index_select": lambda x: x.index_select(1, _FIRST.abs()),
    "index_first": lambda x: x[_FIRST],
    "index_middle": lambda x: x[:, _FIRST],
    "index_matrix": lambda x: x[:, _LINES],
    "index_two": lambda x: x[:, _FIRST, _FIRST],
    "index_apart": lambda x: x[_FIRST, :, _FIRST],
    "index_broadcast": lambda x: x[_LINES[:, :1], _LINES[:1]],
    "take": lambda x: x.take(torch.tensor([[7, -1], [0, 59]])),
    "take_along_dim": lambda x: torch.take_along_dim(x, _PLACES[:1], 1),
    "take_along_all": lambda x: torch.take_along_dim(x, torch.tensor([3, 9])),
    "slice_scatter_one": lambda x: torch.slice_scatter(x, x[:1] * 1, 0, 1, 2),
    "select_scatter": lambda x: torch.select_scatter(x, x[:, 0], 1, -1),
    "slice_scatter_step": lambda x: torch.slice_scatter(x, x[:, :2], 1, 1, None, 2),
    "diagonal_scatter": lambda x: torch.diagonal_scatter(x, x[:, 0, :4], 1, 1, 2),
    "scatter": lambda x: x.scatter(0, _PLACES[:2].clamp_max(2), x.flip(0)),
    "scatter_value": lambda x: x.scatter(1, _PLACES[:, :1], 0.5),
    "index_copy": lambda x: x.index_copy(1, torch.tensor([3, 0]), x[:, 1:3]),
    "index_fill": lambda x: x.index_fill(2, torch.tensor([3, -1]), 0.25),
    "index_put": lambda x: _put(x, _FIRST[:2], x[1]),
    "index_put_number": lambda x: _put(x, (slice(None), _FIRST), 0.5),
    "index_put_apart": lambda x: _put(x, (_FIRST, slice(None), _FIRST), x[0, :, :1].t()),
    "index_put_middle": lambda x: _put(x, (slice(None), _FIRST[:2]), x[:, :2] * 1),
    "repeat_interleave": lambda x: x.repeat_interleave(3, 1),
    "repeat_interleave_all": lambda x: x.repeat_interleave(2),
    "repeat_interleave_by": lambda x: x.repeat_interleave(
        torch.tensor([1, 2, 0]), 0, output_size=3
    ),
    "tril": lambda x: x.tril(1),
    "triu": lambda x: torch.triu(x, -1),
    "diagonal": lambda x: x.diagonal(0, 1, 2),
    "diagonal_up": lambda x: x.diagonal(2, 0, 2),
    "diagonal_down": lambda x: x.diagonal(-1, 2, 0),
    "diag_embed": torch.diag_embed,
    "diag_embed_up": lambda x: torch.diag_embed(x, 2, 0, 2),
    "diag_embed_down": lambda x: torch.diag_embed(x, -1, 1, -1),
    "diag": lambda x: torch.diag(x[0], 1),
    "diag_vector": lambda x: torch.diag(x[0, 0]),
    "diagflat": lambda x: torch.diagflat(x[0], -1),
    "flip": lambda x: x.flip((0, -1)),
    "fliplr": torch.fliplr,
    "roll": lambda x: x.roll((2, -1), (1, 2)),
    "roll_all": lambda x: x.roll(7),
    "rot90": lambda x: torch.rot90(x, 1, (0, 2)),
    "rot90_back": lambda x: torch.rot90(x, -1, (1, 2)),
    "rot90_twice": lambda x: torch.rot90(x, 2, (0, 1)),
    "movedim": lambda x: x.movedim(0, -1),
    "movedims": lambda x: x.movedim((0, 1), (2, 0)),
    "unfold": lambda x: x.unfold(2, 2, 1),
    "unfold_apart": lambda x: x.unfold(1, 2, 2),
    "unfold_few": lambda x: x.unfold(2, 4, 1),
    "swapaxes": lambda x: x.swapaxes(0, 2),
    "mT": lambda x: x.mT,
    "numpy_T": lambda x: x[0].T,
    "tile": lambda x: x.tile(2, 1),
    "ravel": torch.ravel,
    "view_as": lambda x: x.view_as(x),
    "expand_as": lambda x: x[:1].expand_as(x),
    "hstack": lambda x: torch.hstack([x, x]),
    "vstack": lambda x: torch.vstack([x[0, 0], x[0]]),
    "dstack": lambda x: torch.dstack([x[0], x[1]]),
    "column_stack": lambda x: torch.column_stack([x[0, 0], x[1].t()]),
    "sort": lambda x: x.sort(1).values,
    "sort_down": lambda x: x.sort(-1, descending=True).values,
    "sort_stable": lambda x: torch.sort(x, stable=True, dim=0).values,
    "msort": torch.msort,
    "topk": lambda x: x.topk(2, 1).values,
    "topk_small": lambda x: x.topk(3, largest=False).values,
    "topk_many": lambda x: x.flatten(1).topk(12).values,
    "kthvalue": lambda x: x.kthvalue(2, 1).values,
    "median": torch.median,
    "median_dim": lambda x: x.median(1, keepdim=True).values,
    "trace": lambda x: x[0].trace(),
    "narrow": lambda x: x.narrow(1, 1, 2),
}.items():
    # Some compute before they move, which costs a step more.
    _case(_name, _fn, _real(), quantizable=True)
for _name, _fn in {
    "index_put_mask": lambda x: _put(x, x > 0.3, 0.1),
    "index_mask": lambda x: x[_MASK],
    "argsort": lambda x: x.argsort(1),
    "argsort_down": lambda x: x.argsort(-1, descending=True),
    "sort_index": lambda x: torch.round(x).sort(stable=True, dim=1).indices,
    "topk_index": lambda x: x.topk(2, 1).indices,
    "topk_index_many": lambda x: x.flatten(1).topk(12, largest=False).indices,
    "kthvalue_index": lambda x: x.kthvalue(2, 1).indices,
    "quantile": lambda x: x.quantile(0.3, 1),
    "quantile_all": lambda x: x.quantile(0.8),
    "bucketize": lambda x: torch.bucketize(torch.round(x), torch.arange(-1.0, 3)),
    "bucketize_right": lambda x: torch.bucketize(torch.round(x), torch.arange(-1.0, 3), right=True),
    "searchsorted": lambda x: torch.searchsorted(x.sort(-1).values, x),
    "searchsorted_number": lambda x: torch.searchsorted(x[0, 0].sort().values, 0.3),
    "searchsorted_side": lambda x: torch.searchsorted(torch.arange(4.0), x, side="right"),
    "scatter_add": lambda x: x.scatter_add(1, _PLACES, x),
    "scatter_reduce_prod": lambda x: x.scatter_reduce(1, _PLACES, x, "prod"),
    "scatter_reduce_mean": lambda x: x.scatter_reduce(1, _PLACES, x, "mean"),
    "scatter_reduce_amax": lambda x: x.scatter_reduce(1, _PLACES, x, "amax"),
    "scatter_reduce_alone": lambda x: x.scatter_reduce(1, _PLACES, x, "mean", include_self=False),
    "scatter_reduce_amin": lambda x: x.scatter_reduce(1, _PLACES, x, "amin", include_self=False),
    "scatter_multiply": lambda x: x.scatter(1, _PLACES, 2.0, reduce="multiply"),
    "scatter_add_mode": lambda x: x.scatter(1, _PLACES, x, reduce="add"),
    "index_add": lambda x: x.index_add(1, torch.tensor([1, 1, 3]), x[:, :3], alpha=2),
    "index_reduce": lambda x: x.index_reduce(1, torch.tensor([1, 1, 3]), x[:, :3], "amax"),
    "index_put_add": lambda x: x.index_put((torch.tensor([1, 1]),), x[:2], accumulate=True),
    "put": lambda x: x.put(torch.tensor([3, -1]), x[0, 0, :2]),
    "put_add": lambda x: x.put(torch.tensor([3, 3]), x[0, 0, :2], accumulate=True),
    "diff": lambda x: x.diff(dim=1),
    "diff_twice": lambda x: x.diff(n=2, prepend=x[..., :1]),
    "trapezoid": lambda x: torch.trapezoid(x, dx=0.5, dim=1),
    "trapezoid_over": lambda x: torch.trapezoid(x, torch.tensor([0.0, 1.0, 3.0, 7.0, 8.0])),
    "diff_none": lambda x: torch.diff(x, n=0),
    "argmax_one": lambda x: x[:1].argmax(0),
    "scatter_add_one": lambda x: x[0, 0, 0].scatter_add(0, torch.tensor(0), x[1, 1, 1]),
    "tensor_split": lambda x: torch.cat(x.tensor_split((1, 3), 2)[::-1], 2),
    "hsplit": lambda x: torch.hsplit(x, 2)[1] * 2,
    "meshgrid": lambda x: torch.stack(torch.meshgrid(x[0, 0], x[0, :, 0], indexing="xy")),
    "cartesian_prod": lambda x: torch.cartesian_prod(x[0, 0], x[0, :, 0], x[:, 0, 0]),
    "block_diag": lambda x: torch.block_diag(x[0], x[0, 0], x[0, 0, 0]),
    "masked_select": lambda x: x.masked_select(_PLACES > 1),
    "mode": lambda x: torch.round(x).mode(1).values,
    "nanmedian": lambda x: x.nanmedian(1).values,
    "quantiles": lambda x: x.quantile(torch.tensor([0.2, 0.9]), 1),
    "quantile_lower": lambda x: x.quantile(0.3, 1, interpolation="lower"),
    "renorm": lambda x: x.renorm(2, 1, 1.5),
    "histc": lambda x: torch.histc(x, 5, -2, 2),
    "cdist": lambda x: torch.cdist(x, x.flip(1)),
    "cdist_1": lambda x: torch.cdist(x, x.flip(1), p=1.0),
    "cdist_many": lambda x: torch.cdist(x.repeat(1, 9, 1), x.repeat(1, 9, 1) + 3),
    "pdist": lambda x: F.pdist(x[0]),
    "pairwise_distance": lambda x: F.pairwise_distance(x, x.flip(0)),
    "cross": lambda x: torch.cross(x, x.flip(0), dim=0),
    "kron": lambda x: torch.kron(x[0], x[1]),
}.items():
    _case(_name, _fn, _real())


def _indexed(
    low: int = -3, high: int = 3, size: tuple[int, ...] = (4,), dtype: torch.dtype = torch.int64
) -> Callable[[], Inputs]:
    return lambda: (torch.randn(SHAPE), torch.randint(low, high, size, dtype=dtype))


# Indices that are inputs of the model.
for _name, _fn in {
    "index_first": lambda x, i: x[i],
    "index_middle": lambda x, i: x[:, i],
    "index_two": lambda x, i: x[:, i, i],
    "index_apart": lambda x, i: x[i, :, i],
    "index_select": lambda x, i: x.index_select(1, i.abs()),
    "take": lambda x, i: x.take(i + 7),
    "index_put": lambda x, i: _put(x, i, 0.5),
    "index_put_rows": lambda x, i: x.index_put((i,), i.to(x.dtype).reshape(4, 1, 1)),
    "index_put_add": lambda x, i: x.index_put((i,), x[:1], accumulate=True),
    "index_put_two": lambda x, i: _put(x, (slice(None), i, i), 2.5),
    "index_add": lambda x, i: x.index_add(1, i.abs(), x),
    "index_copy": lambda x, i: x.index_copy(1, i.abs(), x.new_ones(3, 4, 5)),
    "one_hot": lambda x, i: F.one_hot(i.abs(), 5),
    "embedding_bag": lambda x, i: F.embedding_bag(i.abs()[None], x[0]),
    "embedding_bag_max": lambda x, i: F.embedding_bag(i.abs()[None], x[0], mode="max"),
    "embedding_bag_offsets": lambda x, i: F.embedding_bag(i.abs(), x[0], torch.tensor([0, 1, 1])),
    "isin": lambda x, i: torch.isin(torch.arange(5), i),
}.items():
    _case(f"computed_{_name}", _fn, _indexed(), **_INT)
_case("computed_index_i32", lambda x, i: x[i], _indexed(dtype=torch.int32), **_INT)
for _name, _fn in {
    "gather": lambda x, i: x.gather(1, i),
    "take_along_dim": lambda x, i: torch.take_along_dim(x, i[:1], 1),
    "scatter": lambda x, i: x.scatter(1, i[:, :1], x * 2),
    "scatter_value": lambda x, i: x.scatter(1, i, 2.5),
    "scatter_add": lambda x, i: x.scatter_add(1, i, x),
    "scatter_mean": lambda x, i: x.scatter_reduce(1, i, x, "mean", include_self=False),
}.items():
    _case(f"computed_{_name}", _fn, _indexed(0, 4, SHAPE), **_INT)
for _name, _fn in {
    "scatter_add": lambda x: x.scatter_add(1, _PLACES, x),
    "scatter_amax": lambda x: x.scatter_reduce(1, _PLACES, x, "amax"),
    "index_add": lambda x: x.index_add(1, torch.tensor([1, 1, 3]), x[:, :3], alpha=2),
    "index": lambda x: x[:, _FIRST],
    "scatter": lambda x: x.scatter(1, _PLACES[:, :1], x),
    "sort": lambda x: x.sort(1).values,
    "sort_index": lambda x: torch.sort(x, stable=True, dim=1, descending=True).indices,
    "topk": lambda x: x.topk(2, 1).values,
    "argsort": lambda x: torch.argsort(x, dim=1, stable=True),
    "tril": torch.tril,
    "bucketize": lambda x: torch.bucketize(x, torch.arange(-1, 3, dtype=x.dtype)),
    "trace": lambda x: x[0].clip(-9, 9).trace(),
    "diff": lambda x: x.diff(),
    "one_hot": lambda x: F.one_hot(x.long().clip(0, 4), 5),
}.items():
    _case(f"int_{_name}", _fn, _whole(), **_INT)
_case(
    "max_unpool",
    lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    _real((1, 3, 6, 8)),
    **_INT,
)


class _Embedding(nn.Module):
    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 6, **more)
        self.fc = nn.Linear(6, 3)
        self.register_buffer("index", torch.tensor([[0, 8], [3, 3]]))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.table(self.index) + x)  # type: ignore[no-any-return]


CASES.append(Case("embedding", lambda: _Embedding(padding_idx=3), ((2, 2, 6),), tolerance=2))
