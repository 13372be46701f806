"""What explain says of an op besides its kind: near misses, and ranges that are cut."""

import torch
from torch import Tensor, nn

from tosaic.reports.explain import explain


class FarEpsilon(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True).sqrt() + 0.5)


class Unkept(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt((x * x).mean(1) + 1e-5)


class AddedMask(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return (x + mask).softmax(-1)


class Norm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5)


def notes(model: nn.Module, *inputs: Tensor) -> list[str]:
    told = [op.note for op in explain(model.eval(), inputs)]
    return [note for note in told if note.startswith(("looks like", "its range"))]


def test_a_near_miss_is_told_with_its_reason():
    (told,) = notes(FarEpsilon(), torch.rand(4, 4))
    assert told == (
        "looks like an RMS norm, but its epsilon of 0.5, outside of the root, is not small"
    )
    (told,) = notes(Unkept(), torch.rand(4, 4))
    assert told == ("looks like an RMS norm, but its mean does not keep the dims that it goes over")
    assert notes(Norm(), torch.rand(4, 4)) == []


def test_a_range_that_is_cut_for_softmax_is_told():
    told = notes(AddedMask(), torch.rand(4, 4), torch.zeros(4, 4))
    assert told == ["its range is cut to what softmax can tell apart"]
