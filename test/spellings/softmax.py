"""Spellings of softmax without a mask, on the scores of an attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spellings.spelling import DIM, Family, rows


class Attending(nn.Module):
    """One head: `piece` makes weights of the scores (and a mask)."""

    def __init__(self, piece: nn.Module) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(DIM, DIM) for _ in range(3))
        self.piece, self.out = piece, nn.Linear(DIM, DIM)

    def forward(self, x: Tensor, *masks: Tensor) -> Tensor:
        scores = self.q(x) @ self.k(x).transpose(-1, -2) * DIM**-0.5
        return self.out(self.piece(scores, *masks) @ self.v(x))


SOFTMAX = Family("softmax", Attending, rows)
FAMILIES = (SOFTMAX,)
spelling = SOFTMAX.spelling


@spelling("torch")
def module(x: Tensor) -> Tensor:
    return F.softmax(x, -1)


@spelling("transformers")
def float_and_back(x: Tensor) -> Tensor:
    return F.softmax(x, dim=-1, dtype=torch.float32).to(x.dtype)


@spelling("transformers")
def cast_first(x: Tensor) -> Tensor:
    return F.softmax(x.float(), dim=-1).type_as(x)


@spelling("keras-like")
def less_maximum(x: Tensor) -> Tensor:
    powers = torch.exp(x - x.amax(-1, keepdim=True))
    return powers / powers.sum(-1, keepdim=True)


@spelling("lucidrains-like")
def stable(x: Tensor) -> Tensor:
    x = x - x.amax(dim=-1, keepdim=True).detach()
    return x.softmax(dim=-1)


@spelling("hand")
def by_max(x: Tensor) -> Tensor:
    highest, _ = x.max(dim=-1, keepdim=True)
    powers = (x - highest).exp()
    return powers / torch.sum(powers, dim=-1, keepdim=True)


@spelling("hand")
def without_maximum(x: Tensor) -> Tensor:
    powers = x.exp()
    return powers / powers.sum(-1, keepdim=True)


@spelling("hand")
def times_reciprocal(x: Tensor) -> Tensor:
    powers = torch.exp(x - x.max(-1, keepdim=True).values)
    return powers * powers.sum(-1, keepdim=True).reciprocal()


@spelling("hand")
def unsqueezed(x: Tensor) -> Tensor:
    powers = torch.exp(x - x.amax(-1).unsqueeze(-1))
    return powers / powers.sum(2)[..., None]


@spelling("hand")
def exponent_of_log_softmax(x: Tensor) -> Tensor:
    return F.log_softmax(x, -1).exp()


@spelling("hand", differs="core ATen guards logsumexp against infinities", differs_in=("core",))
def less_log_sum(x: Tensor) -> Tensor:
    return torch.exp(x - torch.logsumexp(x, -1, keepdim=True))


@spelling("hand")
def over_transposed(x: Tensor) -> Tensor:
    return x.transpose(1, 2).softmax(1).transpose(1, 2)
