"""Normal form of programs with odd inputs, outputs, dtypes, sizes and regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F

from support.normal_form import assert_normalizes, exported, normalized, ops_of

TABLE = torch.arange(12.0).reshape(3, 4)

INTERFACES: dict[str, Callable[..., Any]] = {
    "unused_input": lambda x, y: x * 2,
    "input_as_output": lambda x, y: (x, x + y),
    "input_twice": lambda x, y: (x, x, y),
    "only_an_input": lambda x, y: y,
    "view_of_an_input": lambda x, y: (x.view(4, 3), y.detach()),
    "constant_as_output": lambda x, y: (TABLE, x + TABLE),
    "only_a_constant": lambda x, y: TABLE * 2,
    "output_twice": lambda x, y: (x + y, x + y, (z := x * y), z),
    "dict": lambda x, y: {"b": x, "a": (y + 1, [x * 2])},
    "nested": lambda x, y: ((x, (y * 1, x + 0)), {"k": x.clone()}),
    "list": lambda x, y: [x.chunk(2, 1), y.unbind(0)],
    "item_of_a_split": lambda x, y: x.split(1)[1],
    "no_op_only": lambda x, y: x.clone().contiguous().view_as(x),
    "same_view_twice": lambda x, y: (x.reshape(-1), x.view(12), x.flatten()),
    "constant_view": lambda x, y: (TABLE.t(), TABLE[0], TABLE.expand(2, 3, 4)),
}


@pytest.mark.parametrize("name", INTERFACES)
def test_inputs_and_outputs(name: str) -> None:
    normalized(INTERFACES[name], torch.randn(3, 4), torch.randn(3, 4))


class Tied(nn.Module):
    """A parameter as output, one under two names, and a view of it as a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.same = self.weight
        self.register_buffer("count", torch.tensor(3))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = F.linear(x, self.weight) + F.linear(x, self.same) + F.linear(x, self.weight.t())
        return y, self.weight, self.count, self.weight


def test_parameters_and_buffers_as_outputs() -> None:
    normalized(Tied(), torch.randn(2, 4))


DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64),
)


def values(dtype: torch.dtype, *shape: int) -> Tensor:
    if dtype == torch.bool:
        return torch.rand(shape) > 0.5
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(shape, dtype=dtype)
    return torch.randint(1, 9, shape, dtype=dtype)


def moved_and_summed(x: Tensor) -> tuple[Tensor, ...]:
    y = x.transpose(0, 1).reshape(-1)[1:].unsqueeze(0)
    return (
        y,
        x + x,
        x * 1,
        x.to(torch.float32 if not x.is_complex() else x.dtype),
        torch.cat([x, x]),
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes(dtype: torch.dtype) -> None:
    normalized(moved_and_summed, values(dtype, 3, 4))


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != torch.complex64], ids=str)
def test_numbers_beside_tensors(dtype: torch.dtype) -> None:
    def numbers(x: Tensor) -> tuple[Tensor, ...]:
        one = torch.tensor(2, dtype=torch.int64)
        half = torch.tensor(0.5)
        return x + 1, x * 2, x / 2, x * 0.5, x + one, half * x, x + half, x + 0, x * 1.0

    normalized(numbers, values(dtype, 3, 4))


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.float32, torch.float64], ids=str)
def test_powers_and_means_keep_their_dtype(dtype: torch.dtype) -> None:
    def powers(x: Tensor) -> tuple[Tensor, ...]:
        return x**2, x**1, x**0.5, x.square(), x.sum(-1) / 4, x.sum(-1, keepdim=True) * 0.25

    normalized(powers, values(dtype, 3, 4))


def scalars(x: Tensor) -> tuple[Tensor, ...]:
    total = x.sum()
    return total, total * 2, x * total, total.reshape(1), total.unsqueeze(0).expand(3), x.mean()


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 4), (3, 0), (2, 0, 3)], ids=str)
def test_scalars_and_empty_tensors(shape: tuple[int, ...]) -> None:
    normalized(scalars, torch.randn(shape))


def test_empty_tensors_move() -> None:
    def moves(x: Tensor) -> tuple[Tensor, ...]:
        return x.permute(1, 0), x.reshape(4, 0), torch.cat([x, x]), x[:, 1:], x.expand(2, 0, 4)

    normalized(moves, torch.randn(0, 4))


def _zero_first(x: Tensor) -> Tensor:
    x[:, 0] = 0
    x[:, :, 1:2] += 1
    return x


def _zero_part(x: Tensor) -> Tensor:
    x.chunk(2, 2)[1].mul_(2)
    x.transpose(0, 1).add_(1)
    return x


DYNAMIC: dict[str, Callable[[Tensor], Any]] = {
    "view": lambda x: x.view(x.shape[0], -1),
    "flatten": lambda x: x.flatten(0, 1),
    "flatten_end": lambda x: x.flatten(1),
    "transpose": lambda x: x.transpose(0, 1),
    "permute": lambda x: x.permute(2, 0, 1),
    "expand": lambda x: x.unsqueeze(1).expand(-1, 3, -1, -1),
    "expand_twice": lambda x: x[:, None].expand(-1, 3, -1, -1).expand(-1, 3, -1, -1),
    "slice": lambda x: x[1:, :, 2:],
    "slice_to_the_end_but_one": lambda x: x[: x.shape[0] - 1],
    "split": lambda x: x.split(2, 2),
    "chunk": lambda x: x.chunk(2, -1),
    "select": lambda x: x[:, -1],
    "last": lambda x: x[-1],
    "stack": lambda x: torch.stack([x, x], 1),
    "cat": lambda x: torch.cat([x, x * 2], 0),
    "sum": lambda x: x.sum(0) / x.shape[0],
    "mean": lambda x: x.mean((0, 1), keepdim=True),
    "layer_norm": lambda x: F.layer_norm(x, (6,)),
    "rms": lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6),
    "softmax": lambda x: F.softmax(x / 2.0, -1),
    "linear": lambda x: F.linear(x, torch.ones(3, 6)),
    "matmul": lambda x: x @ torch.ones(6, 3),
    "sdpa": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "zeros": lambda x: x + torch.zeros(x.shape[0], 1, 1),
    "arange": lambda x: x + torch.arange(x.shape[1])[:, None],
    "square_": lambda x: (x * 1).add_(1).mul_(2),
    "write_to_slice": lambda x: _zero_first(x.clone()),
    "write_to_part": lambda x: _zero_part(x.clone()),
    "size_as_number": lambda x: x * x.shape[0],
    "repeat": lambda x: x.repeat(1, 1, 2),
    "interleave": lambda x: x.repeat_interleave(2, 2),
    "topk": lambda x: x.topk(2, -1),
    "max": lambda x: x.max(-1)[0],
}


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("name", DYNAMIC)
def test_dynamic_dims(name: str, dims: int) -> None:
    shapes = {0: Dim("a", min=3, max=16), 1: Dim("b", min=3, max=16)}
    dynamic = {n: shapes[n] for n in range(dims)}
    program = exported(DYNAMIC[name], torch.randn(4, 5, 6), dynamic_shapes=((dynamic,),))
    samples = [(torch.randn(4, 5, 6),), (torch.randn(6, 5 if dims == 1 else 7, 6),)]
    normal = assert_normalizes(program, *samples)
    kept = [str(d) for n in normal.graph.nodes if n.op == "placeholder" for d in _dims(n)]
    assert any("s" in d for d in kept)


def _dims(node: torch.fx.Node) -> list[Any]:
    return list(node.meta["val"].shape)


def _without_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        y = x * 2
        y.add_(1)
    return y + x


def _autocast(x: Tensor, enabled: bool = True) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        y = x @ x
    return y.float() + x


def _autocast_and_write(x: Tensor) -> Tensor:
    y = x.clone()
    with torch.autocast("cpu", torch.bfloat16):
        y[0] = (x @ x)[0]
    return y


REGIONS: dict[str, Callable[..., Any]] = {
    "cond": lambda x: torch.cond(x.sum() > 0, lambda y: y * 2, lambda y: y - 1, (x,)),
    "cond_in_cond": lambda x: torch.cond(
        x.sum() > 0,
        lambda y: torch.cond(y.mean() > 1, torch.sin, torch.cos, (y,)),
        lambda y: y - 1,
        (x,),
    ),
    "no_grad": _without_grad,
    "map": lambda x: torch.ops.higher_order.map_impl(lambda y: (y * 2,), [x], [])[0],
    "autocast": _autocast,
    "autocast_off": lambda x: _autocast(x, enabled=False),
    "autocast_and_write": _autocast_and_write,
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "checkpoint": lambda x: torch.utils.checkpoint.checkpoint(torch.sin, x, use_reentrant=False),
}


@pytest.mark.parametrize("name", REGIONS)
def test_regions(name: str) -> None:
    normalized(REGIONS[name], torch.randn(4, 4))


class Counts(nn.Module):
    """Writes, under autocast, to a buffer that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            self.calls.add_(1)
            return x @ x


def test_a_count_that_nothing_reads_under_autocast() -> None:
    graph = normalized(Counts(), torch.randn(4, 4))
    assert "add_.Tensor" not in ops_of(graph)
