"""Samples written by hand: ops without an OpInfo, and edges that OpInfo leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from opinfo_driver import Sample
from torch import Tensor, nn

Make = Callable[[torch.dtype], Iterator[Sample]]
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
ALL = (*FLOATS, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool)


@dataclass(frozen=True)
class Hand:
    """`make` gives the samples of one of `dtypes`."""

    dtypes: tuple[torch.dtype, ...]
    make: Make


HAND: dict[str, Hand] = {}


def _samples(name: str, dtypes: tuple[torch.dtype, ...] = FLOATS) -> Callable[[Make], Make]:
    def enter(make: Make) -> Make:
        HAND[name] = Hand(dtypes, make)
        return make

    return enter


def _draw(dtype: torch.dtype, *shape: int) -> Tensor:
    low = 0 if dtype == torch.uint8 else -5
    return torch.testing.make_tensor(
        shape,
        dtype=dtype,
        device="cpu",
        low=None if dtype == torch.bool else low,
        high=None if dtype == torch.bool else 5,
    )


def _each(fn: Callable[..., Any], *calls: tuple[Any, ...]) -> Iterator[Sample]:
    return (Sample(fn, call) for call in calls)


def _parameters(module: nn.Module) -> Callable[..., Any]:
    """Return `module` as a function of its inputs; the parameters are constants."""
    return module.eval().requires_grad_(False)


@_samples("relu6")
def _relu6(dtype: torch.dtype) -> Iterator[Sample]:
    yield from _each(F.relu6, (_draw(dtype, 3, 4) * 3,), (_draw(dtype),))


@_samples("detach", ALL)
def _detach(dtype: torch.dtype) -> Iterator[Sample]:
    yield from _each(lambda x: x.detach() + x, (_draw(dtype, 3, 4),), (_draw(dtype),))


@_samples("alias", ALL)
def _alias(dtype: torch.dtype) -> Iterator[Sample]:
    yield from _each(lambda x: torch.ops.aten.alias(x) + x, (_draw(dtype, 3, 4),), (_draw(dtype),))


@_samples("rot90", ALL)
def _rot90(dtype: torch.dtype) -> Iterator[Sample]:
    for turns in range(-2, 4):
        yield Sample(torch.rot90, (_draw(dtype, 3, 4, 2), turns))
        yield Sample(torch.rot90, (_draw(dtype, 3, 4, 2), turns, [2, 0]))


@_samples("fft", (torch.float32,))
def _fft(dtype: torch.dtype) -> Iterator[Sample]:
    """The transform of real numbers, as real and imaginary part; TOSA has it of powers of two."""

    def parts(x: Tensor) -> Tensor:
        return torch.view_as_real(torch.fft.fft(x))

    yield from _each(parts, (_draw(dtype, 8),), (_draw(dtype, 2, 3, 16),))


@_samples("rfft", (torch.float32,))
def _rfft(dtype: torch.dtype) -> Iterator[Sample]:
    def parts(x: Tensor) -> Tensor:
        return torch.view_as_real(torch.fft.rfft(x))

    def size(x: Tensor) -> Tensor:
        return torch.fft.rfft(x).abs()

    yield from _each(parts, (_draw(dtype, 8),), (_draw(dtype, 2, 3, 16),))
    yield from _each(size, (_draw(dtype, 8),), (_draw(dtype, 2, 32),))


@_samples("irfft", (torch.float32,))
def _irfft(dtype: torch.dtype) -> Iterator[Sample]:
    def inverse(x: Tensor) -> Tensor:
        return torch.fft.irfft(torch.view_as_complex(x))

    def there_and_back(x: Tensor) -> Tensor:
        return torch.fft.irfft(torch.fft.rfft(x) * 2)

    yield from _each(inverse, (_draw(dtype, 5, 2),), (_draw(dtype, 3, 9, 2),))
    yield from _each(there_and_back, (_draw(dtype, 8),), (_draw(dtype, 2, 3, 16),))


@_samples("movedim")
def _movedim(dtype: torch.dtype) -> Iterator[Sample]:
    x = _draw(dtype, 2, 3, 4, 5)
    yield from _each(torch.movedim, (x, 0, -1), (x, [0, 1], [-1, -2]), (x, -1, 1))


@_samples("circular_pad")
def _circular(dtype: torch.dtype) -> Iterator[Sample]:
    for rank in (1, 2, 3):
        x = _draw(dtype, 2, 3, *(4,) * rank)
        yield Sample(F.pad, (x, [1, 2] * rank), {"mode": "circular"})


@_samples("bucketize")
def _bucketize(dtype: torch.dtype) -> Iterator[Sample]:
    edges = torch.tensor([-3, -1, 0, 2, 4], dtype=dtype)
    for right in (False, True):
        yield Sample(torch.bucketize, (_draw(dtype, 3, 4), edges), {"right": right})


@_samples("lp_pool")
def _lp_pool(dtype: torch.dtype) -> Iterator[Sample]:
    yield Sample(F.lp_pool1d, (_draw(dtype, 2, 3, 9), 2.0, 3))
    yield Sample(F.lp_pool2d, (_draw(dtype, 2, 3, 9, 8), 2.0, 3, 2))
    yield Sample(F.lp_pool2d, (_draw(dtype, 1, 3, 9, 8).abs(), 3.0, (2, 3)), {"ceil_mode": True})
    yield Sample(F.lp_pool3d, (_draw(dtype, 1, 2, 6, 5, 4), 2.0, 2))


@_samples("affine_grid")
def _affine_grid(dtype: torch.dtype) -> Iterator[Sample]:
    for corners in (False, True):
        yield Sample(F.affine_grid, (_draw(dtype, 2, 2, 3), [2, 3, 4, 5], corners))
        yield Sample(F.affine_grid, (_draw(dtype, 2, 3, 4), [2, 1, 2, 3, 4], corners))


@_samples("col2im")
def _col2im(dtype: torch.dtype) -> Iterator[Sample]:
    yield Sample(F.fold, (_draw(dtype, 2, 3 * 4, 12), (5, 4), (2, 2)))
    yield Sample(F.fold, (_draw(dtype, 3 * 4, 9), (5, 5), (2, 2)), {"stride": 2, "padding": 1})
    yield Sample(F.fold, (_draw(dtype, 1, 2 * 6, 8), (6, 6), (2, 3)), {"dilation": 2, "stride": 1})


@_samples("upsample")
def _upsample(dtype: torch.dtype) -> Iterator[Sample]:
    for mode in ("nearest", "bilinear", "bicubic"):
        yield Sample(nn.Upsample(scale_factor=2, mode=mode), (_draw(dtype, 1, 2, 4, 5),))
        yield Sample(nn.Upsample(size=(7, 3), mode=mode), (_draw(dtype, 1, 2, 4, 5),))
    yield Sample(nn.Upsample(scale_factor=3, mode="linear"), (_draw(dtype, 1, 2, 4),))
    yield Sample(nn.Upsample(scale_factor=2, mode="trilinear"), (_draw(dtype, 1, 2, 2, 3, 4),))


def _recurrent(kind: type[nn.RNNBase], dtype: torch.dtype, **more: Any) -> Iterator[Sample]:
    for layers, both, first in ((1, False, False), (2, True, True), (2, False, True)):
        module = kind(
            3, 4, num_layers=layers, bidirectional=both, batch_first=first, dtype=dtype, **more
        )
        yield Sample(_parameters(module), (_draw(dtype, 2, 5, 3),))
    yield Sample(_parameters(kind(3, 4, bias=False, dtype=dtype, **more)), (_draw(dtype, 5, 3),))


@_samples("LSTM")
def _lstm(dtype: torch.dtype) -> Iterator[Sample]:
    yield from _recurrent(nn.LSTM, dtype)
    yield from _recurrent(nn.LSTM, dtype, proj_size=2)
    state = _draw(dtype, 1, 2, 4), _draw(dtype, 1, 2, 4)
    yield Sample(_parameters(nn.LSTM(3, 4, dtype=dtype)), (_draw(dtype, 5, 2, 3), state))


@_samples("GRU")
def _gru(dtype: torch.dtype) -> Iterator[Sample]:
    yield from _recurrent(nn.GRU, dtype)
    start = _draw(dtype, 1, 2, 4)
    yield Sample(_parameters(nn.GRU(3, 4, dtype=dtype)), (_draw(dtype, 5, 2, 3), start))


@_samples("RNN")
def _rnn(dtype: torch.dtype) -> Iterator[Sample]:
    yield from _recurrent(nn.RNN, dtype)
    yield from _recurrent(nn.RNN, dtype, nonlinearity="relu")


@_samples("multi_head_attention")
def _attention(dtype: torch.dtype) -> Iterator[Sample]:
    for first in (False, True):
        module = nn.MultiheadAttention(8, 2, batch_first=first, dtype=dtype)
        x = _draw(dtype, 2, 5, 8)
        yield Sample(_parameters(module), (x, x, x))


@_samples("tensor_constants", ALL)
def _constants(dtype: torch.dtype) -> Iterator[Sample]:
    numbers = _draw(dtype, 3, 4)
    yield Sample(lambda x: (numbers, x), (_draw(dtype, 3, 4),))
    yield Sample(lambda x: torch.where(x > 0, torch.tensor(1), numbers), (_draw(dtype, 3, 4),))
    yield Sample(lambda x: torch.tensor([1, 2, 3], dtype=dtype) * x, (_draw(dtype, 2, 3),))


@_samples("dropout")
def _dropout(dtype: torch.dtype) -> Iterator[Sample]:
    yield Sample(F.dropout, (_draw(dtype, 3, 4), 0.5, False))
    yield Sample(F.dropout, (_draw(dtype, 3, 4), 0.5, True))


@_samples("rand")
def _rand(dtype: torch.dtype) -> Iterator[Sample]:
    yield Sample(lambda x: torch.rand(3, 4, dtype=dtype) + x, (_draw(dtype, 4),))


@_samples("grid_sampler", (torch.float32,))
def _grid_sampler(dtype: torch.dtype) -> Iterator[Sample]:  # OpInfo's own are of a million elements
    image, grid = _draw(dtype, 2, 3, 5, 6), _draw(dtype, 2, 4, 3, 2) / 4
    for mode in ("bilinear", "nearest"):
        for padding in ("zeros", "border", "reflection"):
            for corners in (False, True):
                yield Sample(F.grid_sample, (image, grid, mode, padding, corners), {}, mode)
