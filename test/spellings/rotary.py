"""Spellings of rotary positions: rotated halves, and pairs that lie side by side."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spellings.spelling import DIM, TOKENS, Family, rows

HEADS = 2
SIZE = DIM // HEADS


class Rotated(nn.Module):
    """Attention of few heads whose queries and keys are turned by `piece`."""

    def __init__(self, piece: nn.Module) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(DIM, DIM) for _ in range(3))
        self.piece, self.out = piece, nn.Linear(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            layer(x).view(1, TOKENS, HEADS, SIZE).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        out = F.scaled_dot_product_attention(self.piece(q), self.piece(k), v)
        return self.out(out.transpose(1, 2).reshape(1, TOKENS, DIM))


def angles() -> Tensor:
    """Return [tokens, size / 2] in radians."""
    rates = 1.0 / 100.0 ** (torch.arange(0, SIZE, 2).float() / SIZE)
    return torch.outer(torch.arange(TOKENS).float(), rates)


def halves() -> dict[str, Tensor]:
    both = torch.cat([angles(), angles()], -1)
    return {"cos": both.cos(), "sin": both.sin()}


def pairs() -> dict[str, Tensor]:
    return {"cos": angles().cos(), "sin": angles().sin()}


ROTARY = Family("rotary_halves", Rotated, rows, halves)
INTERLEAVED = Family("rotary_pairs", Rotated, rows, pairs)
FAMILIES = (ROTARY, INTERLEAVED)
spelling = ROTARY.spelling


def rotate_half(x: Tensor) -> Tensor:
    first, second = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-second, first), dim=-1)


@spelling("transformers")
def llama(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return x * cos + rotate_half(x) * sin


@spelling("transformers")
def llama_in_forward(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    turned = torch.cat((angles()[None], angles()[None]), dim=-1)
    cos, sin = turned.cos().to(x.dtype).unsqueeze(1), turned.sin().to(x.dtype).unsqueeze(1)
    return (x * cos) + (rotate_half(x) * sin)


@spelling("transformers")
def float_and_back(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    wide = x.float()
    return (wide * cos[None, None] + rotate_half(wide) * sin[None, None]).to(x.dtype)


@spelling("hand")
def chunked(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], -1) * sin


@spelling("hand")
def by_halves(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    cos, sin = cos[:, : SIZE // 2], sin[:, : SIZE // 2]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


@spelling("hand")
def split_parts(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = torch.split(x, SIZE // 2, dim=-1)
    return torch.add(x.mul(cos), torch.cat((second.neg(), first), 3).mul(sin))


@spelling("torchtune-like")
def unbound(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.reshape(*x.shape[:-1], 2, -1).unbind(-2)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


@spelling("hand")
def rolled(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    sign = torch.cat([-torch.ones(SIZE // 2), torch.ones(SIZE // 2)])
    return x * cos + torch.roll(x, SIZE // 2, -1) * (sin * sign)


@spelling("hand")
def signed_sines(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = SIZE // 2
    signed = torch.cat([-sin[:, :half], sin[:, half:]], -1)
    return x * cos + torch.cat([x[..., half:], x[..., :half]], -1) * signed


spelling_pairs = INTERLEAVED.spelling


@spelling_pairs("torchtune-like")
def stacked(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    two = x.float().reshape(*x.shape[:-1], -1, 2)
    turned = [
        two[..., 0] * cos - two[..., 1] * sin,
        two[..., 1] * cos + two[..., 0] * sin,
    ]
    return torch.stack(turned, -1).flatten(3).type_as(x)


@spelling_pairs("lucidrains-like")
def rotate_every_two(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    cos, sin = cos.repeat_interleave(2, -1), sin.repeat_interleave(2, -1)
    first, second = x.unflatten(-1, (-1, 2)).unbind(dim=-1)
    return x * cos + torch.stack((-second, first), dim=-1).flatten(-2) * sin


@spelling_pairs("transformers")
def strided(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """GPT-J's."""
    first, second = x[:, :, :, ::2], x[:, :, :, 1::2]
    turned = torch.stack((-second, first), dim=-1).flatten(-2)
    return x * cos.repeat_interleave(2, -1) + turned * sin.repeat_interleave(2, -1)


@spelling_pairs("hand")
def strided_parts(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x[..., 0::2], x[..., 1::2]
    parts = (first * cos - second * sin, first * sin + second * cos)
    return torch.stack(parts, dim=-1).reshape(x.shape)
