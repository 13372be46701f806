"""In-place ops in functional form: views of every kind, in chains, between reads; refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from support.normal_form import exported, normalized, ops_of
from tosaic.errors import InputError
from tosaic.frontend.normal import normalize

VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "whole": lambda x: x,
    "view": lambda x: x.view(6, 4),
    "flatten": lambda x: x.flatten(1),
    "unflatten": lambda x: x.unflatten(2, (2, 2)),
    "reshape": lambda x: x.reshape(-1),
    "view_as": lambda x: x.view_as(torch.empty(4, 6)),
    "squeeze": lambda x: x[:1].squeeze(),
    "squeeze_dim": lambda x: x[:1].squeeze(0),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, 2),
    "t": lambda x: x[0].t(),
    "mT": lambda x: x.mT,
    "movedim": lambda x: x.movedim(0, -1),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "slice": lambda x: x[:, 1:],
    "slice_by_two": lambda x: x[..., ::2],
    "select": lambda x: x[1],
    "negative_select": lambda x: x[:, -1],
    "narrow": lambda x: x.narrow(2, 1, 2),
    "diagonal": lambda x: x.diagonal(0, 1, 2),
    "split": lambda x: x.split(1, 1)[2],
    "split_sizes": lambda x: x.split([1, 3], 2)[1],
    "chunk": lambda x: x.chunk(2, -1)[1],
    "unbind": lambda x: x.unbind(1)[1],
    "tensor_split": lambda x: x.tensor_split(2, 2)[0],
    "detach": lambda x: x.detach(),
    "same_dtype": lambda x: x.to(torch.float32),
    "contiguous": lambda x: x.contiguous(),
    "view_of_a_view": lambda x: x.transpose(0, 1)[1:].permute(2, 1, 0)[0],
    "item_of_a_view": lambda x: x.permute(1, 2, 0).chunk(2, 1)[0].unbind(2)[1],
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_write_to_a_view_is_one_to_its_base(name: str) -> None:
    def writes(x: Tensor) -> tuple[Tensor, ...]:
        base = x * 1.5
        before = base + 0.25
        shown = base[0]  # is read after the write
        VIEWS[name](base).mul_(3)
        between = base.sum()
        VIEWS[name](base).add_(1)
        return before, base, shown, between

    ops = ops_of(normalized(writes, torch.randn(2, 3, 4)))
    assert not any("_.T" in op or "_.S" in op for op in ops)


CHAINS: dict[str, Callable[[Tensor], Any]] = {
    "views_taken_before": lambda y: (y.view(-1), y.t(), y[0], y.mul_(2)),
    "through_two_views": lambda y: (y.t()[1].add_(1), y.view(-1)[:3].mul_(2), y),
    "one_view_by_another": lambda y: (y[0].copy_(y[1]), y[1].copy_(y[2]), y),
    "overlapping": lambda y: (y[:2].add_(1), y[1:].add_(2), y),
    "setitem": lambda y: (y.__setitem__((slice(None), 1), 7.0), y)[1],
    "setitem_of_a_row": lambda y: (y.__setitem__(0, y[2] * 2), y)[1],
    "fill": lambda y: (y[0].fill_(2), y[1].zero_(), y),
    "masked_fill": lambda y: y.masked_fill_(y > 0, -1.0),
    "index_put": lambda y: y.index_put_((torch.tensor([0, 2]),), torch.ones(4)),
    "activations": lambda y: (y.relu_().sigmoid_(), y.clamp_(0.1, 0.6)),
    "broadcast_operand": lambda y: y.add_(torch.arange(4.0)),
    "broadcast_copy": lambda y: y.copy_(torch.arange(4.0)),
    "reshaped_and_written": lambda y: (y.unsqueeze_(0).mul_(2), y.add_(1)),
    "transposed_and_written_by_a_view": lambda y: (y.t_()[0].mul_(2), y, y.reshape(-1) + 1),
    "written_before_and_behind": lambda y: (y[0].add_(1), y.unsqueeze_(1)[:, 0].mul_(3), y * 2),
    "unsqueeze_": lambda y: (y.add_(1).unsqueeze_(0), y),
    "copy_of_the_old": lambda y: (y.clone(), y.add_(1)),
    "written_value_is_read": lambda y: (y + y.mul_(2)) * y,
    "alias_as_output": lambda y: (y, y.view(-1), y.add_(1), y.t()),
}


@pytest.mark.parametrize("name", CHAINS)
def test_writes_and_reads_in_order(name: str) -> None:
    graph = normalized(lambda x: CHAINS[name](x.clone()), torch.randn(3, 4))
    assert not any("_." in op.replace("__", "") for op in ops_of(graph) if op.endswith("_."))


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.int32, torch.uint8], ids=str
)
def test_a_write_keeps_the_dtype_of_what_it_writes_to(dtype: torch.dtype) -> None:
    def promotes(x: Tensor) -> tuple[Tensor, ...]:
        y = x + x
        y.add_(torch.ones(4, dtype=torch.float32 if dtype.is_floating_point else torch.int64))
        y[0].mul_(2)
        return y, y[1].copy_(torch.full((4,), 3.0))

    normalized(promotes, torch.ones(3, 4, dtype=dtype))


class Writes(nn.Module):
    kept: Tensor

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.register_buffer("kept", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "view of input":
            x[0].add_(1)
        elif self.how == "read":
            self.kept.add_(1)
            return x + self.kept
        elif self.how == "returned":
            return self.kept.add_(1)
        elif self.how == "read before":
            y = x + self.kept
            self.kept.copy_(y[0])
            return y
        return x * 2


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("view of input", "its input 'x'"),
        ("read", "'kept'"),
        ("returned", "'kept'"),
        ("read before", "'kept'"),
    ],
)
def test_state_is_refused_with_its_line(how: str, what: str) -> None:
    with pytest.raises(InputError, match="no state") as caught:
        normalize(exported(Writes(how), torch.randn(3, 4)))
    message = str(caught.value)
    assert f"writes to {what} while it runs at " in message and "test_functional.py:" in message


def test_state_of_a_decomposed_program_is_refused_too() -> None:
    program = exported(Writes("read"), torch.randn(3, 4)).run_decompositions({})
    with pytest.raises(InputError, match=r"writes to 'kept' while it runs.*no state"):
        normalize(program)


class Counting(nn.Module):
    """A batch norm counts, and so does the net, by what it counted before."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        self.calls.copy_(self.calls * 2)
        return x * 2


@pytest.mark.parametrize("decomposed", [False, True])
def test_buffers_that_only_their_own_writes_read_are_dropped(decomposed: bool) -> None:
    program = exported(Counting(), torch.randn(3, 4))
    program = program.run_decompositions({}) if decomposed else program
    normal = normalize(program)
    assert [str(n.target) for n in normal.graph.nodes if n.op == "call_function"] == [
        "aten.mul.Tensor"
    ]
    assert not normal.state_dict


def test_a_view_that_cannot_be_followed_is_named() -> None:
    def writes(x: Tensor) -> Tensor:
        y = x.clone()
        y.unfold(1, 2, 1).mul_(2)
        return y

    with pytest.raises(InputError, match=r"made by 'unfold' at .*nets.py.*cannot be followed"):
        normalize(exported(writes, torch.randn(3, 4)))
