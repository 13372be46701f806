"""Indexing, sorting and reductions where a `Case` is not enough: several results, refusals, NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tosaic
from support.nets import Calls
from tosaic.errors import TosaicError
from tosaic.quantizer import quantize

X = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))


def _run(fn: Callable[..., Any], *inputs: Tensor, target: str = "tosa-1.0-int+fp") -> list[Any]:
    program = tosaic.compile(Calls(fn), inputs, target=target)
    given = [x.int() if x.dtype == torch.int64 else x for x in inputs]
    return list(program.run(*given, executor="reference"))


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: tuple(x.max(1)),
        lambda x: tuple(x.min(-1, keepdim=True)),
        lambda x: tuple(x.sort(1, descending=True)),
        lambda x: tuple(x.topk(2, 1)),
        lambda x: tuple(x.cummax(2)),
        lambda x: tuple(torch.aminmax(x, dim=0)),
        lambda x: tuple(x.kthvalue(3, 2)),
        lambda x: tuple(x.nanmedian(1)),
        lambda x: torch.meshgrid(x[0, 0], x[0, :, 0], indexing="ij"),
        lambda x: x.tensor_split(3, 2),
    ],
)
def test_values_and_indices(fn: Callable[..., Any]) -> None:
    for result, expected in zip(_run(fn, X, target="tosa-1.0-fp"), fn(X), strict=True):
        np.testing.assert_array_equal(result, expected.numpy())


def test_computed_indices_run_on_a_float_target() -> None:
    index = torch.randint(0, 4, (3, 4, 5))

    def fn(x: Tensor, i: Tensor) -> Tensor:
        return x.gather(1, i) + x.scatter(1, i, 0.5) + F.embedding(i, x[0]).sum(2)

    (result,) = _run(fn, X, index, target="tosa-1.0-fp")
    np.testing.assert_allclose(result, fn(X, index).numpy(), rtol=1e-5, atol=1e-5)


def test_sort_puts_nan_last() -> None:
    x = torch.tensor([1.0, math.nan, -math.inf, 3.0, math.nan, 0.0])
    (result,) = _run(lambda x: x.sort().values, x)
    np.testing.assert_array_equal(result, x.sort().values.numpy())


def test_median_is_nan_where_there_is_one() -> None:
    x = torch.tensor([[1.0, math.nan, 3.0, 0.0], [5.0, 1.0, 3.0, 2.0]])
    (result,) = _run(lambda x: x.median(1).values, x)
    np.testing.assert_array_equal(result, [math.nan, 2])


def test_sums_of_integers_bound_their_inputs() -> None:
    x = torch.tensor([[7, -4, 9]])
    program = tosaic.compile(Calls(lambda x: x.sum(1)).eval(), (x,), target="tosa-1.0-int+fp")
    (result,) = program.run(x.int(), executor="reference")
    np.testing.assert_array_equal(result, [12])
    limits = program.manifest.inputs[0].range
    assert limits is not None
    assert 3 * limits[1] <= 2**31 - 1 < 6 * limits[1]
    with pytest.raises(TosaicError, match="compiled for"):
        program.run(torch.full((1, 3), limits[1] + 1, dtype=torch.int32), executor="reference")


def test_topk_of_many_with_infinities() -> None:
    x = torch.randn(2, 6000)
    x[0, 3:] = -math.inf
    values, indices = _run(lambda x: tuple(x.topk(10)), x)
    np.testing.assert_array_equal(values, x.topk(10).values.numpy())
    np.testing.assert_array_equal(np.take_along_axis(x.numpy(), indices.astype(int), 1), values)
    assert len(set(indices[0])) == 10


def test_the_last_of_several_writers_wins() -> None:
    index = torch.tensor([[1, 1, 0, 1]])
    source = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    (result,) = _run(
        lambda i, s: torch.zeros(1, 3).scatter(1, i, s), index, source, target="tosa-1.0-int+fp"
    )
    np.testing.assert_array_equal(result, [[3, 4, 0]])


def test_a_sum_of_writers_keeps_infinity_to_its_place() -> None:
    source = torch.tensor([1.0, math.inf, 2.0])
    (result,) = _run(
        lambda i, s: torch.zeros(3).scatter_add(0, i, s), torch.tensor([0, 1, 0]), source
    )
    np.testing.assert_array_equal(result, [3, math.inf, 0])


class _Lookup(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.fc = nn.Embedding(9, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        return self.fc(self.table(index) + x[:, index])  # type: ignore[no-any-return]


def test_int8_lookups_by_an_input() -> None:
    torch.manual_seed(0)
    samples = [(torch.randn(2, 9, 6), torch.randint(0, 9, (4,))) for _ in range(4)]
    program = quantize(_Lookup().eval(), samples[0], samples)
    compiled = tosaic.compile(program, target="tosa-1.0-int")
    scale = compiled.manifest.outputs[0].scale
    assert scale is not None
    for x, index in samples:
        expected = program.module()(x, index).detach().numpy()
        (result,) = compiled.run(x, index.int(), executor="reference")
        assert np.abs(result - expected).max() / scale <= 2.01


@pytest.mark.parametrize(
    ("fn", "reason"),
    [
        (torch.nonzero, "known only when the model runs"),
        (lambda x: x.masked_select(x > 0), "known only when the model runs"),
        (lambda x: x[x > 0], "a bool mask that the model computes"),
        (lambda x: x.masked_scatter(x > 0, x), "use torch.where"),
        (lambda x: x.flatten().repeat(100).sort().values, "comparisons"),
        (lambda x: F.one_hot(x.argmax(1).squeeze(), -1), "torch.export"),
    ],
)
def test_refusals(fn: Callable[..., Any], reason: str) -> None:
    with pytest.raises(TosaicError, match=reason):
        tosaic.compile(Calls(fn), (X,), target="tosa-1.0-int+fp")
