"""Spellings of attention: plain, causal, and with keys and values shared by groups of heads."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spellings.spelling import DIM, TOKENS, Family, rows

HEADS, GROUPS = 4, 2
SIZE = DIM // HEADS


class Attention(nn.Module):
    """Projections and heads; `piece` takes q, k, v as [batch, heads, tokens, size]."""

    def __init__(self, piece: nn.Module, kept: int = HEADS) -> None:
        super().__init__()
        self.kept = kept
        self.q = nn.Linear(DIM, DIM)
        self.k, self.v = nn.Linear(DIM, kept * SIZE), nn.Linear(DIM, kept * SIZE)
        self.piece, self.out = piece, nn.Linear(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        q = self.q(x).view(1, TOKENS, HEADS, SIZE).transpose(1, 2)
        k = self.k(x).view(1, TOKENS, self.kept, SIZE).transpose(1, 2)
        v = self.v(x).view(1, TOKENS, self.kept, SIZE).transpose(1, 2)
        out = self.piece(q, k, v).transpose(1, 2).reshape(1, TOKENS, DIM)
        return self.out(out)


def grouped_host(piece: nn.Module) -> nn.Module:
    return Attention(piece, GROUPS)


ATTENTION = Family("attention", Attention, rows)
CAUSAL_ATTENTION = Family("causal_attention", Attention, rows)
GROUPED = Family("grouped_attention", grouped_host, rows)
FAMILIES = (ATTENTION, CAUSAL_ATTENTION, GROUPED)
spelling = ATTENTION.spelling


@spelling("torch")
def module(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v)


@spelling("transformers")
def eager(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.matmul(q, k.transpose(2, 3)) * SIZE**-0.5
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype)
    return torch.matmul(weights, v)


@spelling("transformers")
def over_root(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(SIZE)
    return torch.matmul(F.softmax(scores, dim=-1), v)


@spelling("timm")
def scaled_query(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q = q * SIZE**-0.5
    return (q @ k.transpose(-2, -1)).softmax(dim=-1) @ v


@spelling("lucidrains-like")
def einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("bhid,bhjd->bhij", q, k) * SIZE**-0.5
    return torch.einsum("bhij,bhjd->bhid", scores.softmax(dim=-1), v)


@spelling("hand")
def scaled_key(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.softmax(q @ (k / math.sqrt(SIZE)).permute(0, 1, 3, 2), -1) @ v


@spelling("hand")
def scaled_both(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    root = SIZE**-0.25
    return ((q * root) @ (k * root).mT).softmax(-1) @ v


@spelling("hand")
def merged_batch(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    flat = (x.reshape(HEADS, TOKENS, SIZE) for x in (q, k, v))
    a, b, c = flat
    weights = F.softmax(torch.bmm(a, b.transpose(1, 2)) * SIZE**-0.5, dim=-1)
    return torch.bmm(weights, c).view(1, HEADS, TOKENS, SIZE)


@spelling("hand")
def baddbmm(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    a, b, c = (x.reshape(HEADS, TOKENS, SIZE) for x in (q, k, v))
    nothing = torch.zeros(HEADS, TOKENS, TOKENS)
    scores = torch.baddbmm(nothing, a, b.transpose(1, 2), beta=0, alpha=SIZE**-0.5)
    return torch.bmm(scores.softmax(-1), c).reshape(1, HEADS, TOKENS, SIZE)


@spelling("hand")
def given_scale(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q * SIZE**-0.5, k, v, scale=1.0)


@spelling("hand")
def softmax_by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.transpose(-1, -2) / SIZE**0.5
    powers = torch.exp(scores - scores.amax(-1, keepdim=True))
    return powers / powers.sum(-1, keepdim=True) @ v


@spelling("hand")
def normalised_last(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.transpose(-1, -2) * SIZE**-0.5
    powers = torch.exp(scores - scores.amax(-1, keepdim=True))
    return powers @ v / powers.sum(-1, keepdim=True)


spelling_causal = CAUSAL_ATTENTION.spelling


@spelling_causal("torch")
def module_causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


@spelling_causal("transformers")
def eager_causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.matmul(q, k.transpose(2, 3)) * SIZE**-0.5
    scores = scores + torch.full((TOKENS, TOKENS), torch.finfo(q.dtype).min).triu(1)[None, None]
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype)
    return torch.matmul(weights, v)


@spelling_causal("torch")
def bool_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    seen = torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)


@spelling_causal("torch")
def float_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    added = torch.full((TOKENS, TOKENS), float("-inf")).triu(1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=added)


@spelling_causal("transformers")
def lowest_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    added = torch.full((1, 1, TOKENS, TOKENS), torch.finfo(q.dtype).min).triu(1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=added, scale=SIZE**-0.5)


@spelling_causal("hand")
def baddbmm_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    a, b, c = (x.reshape(HEADS, TOKENS, SIZE) for x in (q, k, v))
    added = torch.full((TOKENS, TOKENS), -1e9).triu(1).expand(HEADS, TOKENS, TOKENS)
    scores = torch.baddbmm(added, a, b.transpose(1, 2), alpha=SIZE**-0.5)
    return torch.bmm(scores.softmax(-1), c).reshape(1, HEADS, TOKENS, SIZE)


@spelling_causal("hand")
def minimal_gpt(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
    seen = torch.tril(torch.ones(TOKENS, TOKENS)).view(1, 1, TOKENS, TOKENS)
    return F.softmax(scores.masked_fill(seen == 0, float("-inf")), dim=-1) @ v


@spelling_causal("lucidrains-like")
def einsum_causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("b h i d, b h j d -> b h i j", q * SIZE**-0.5, k)
    hidden = torch.ones((TOKENS, TOKENS), dtype=torch.bool).triu(1)
    weights = scores.masked_fill(hidden, -torch.finfo(q.dtype).max).softmax(dim=-1)
    return torch.einsum("b h i j, b h j d -> b h i d", weights, v)


spelling_grouped = GROUPED.spelling


@spelling_grouped("torch")
def module_grouped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)


def _shown(x: Tensor) -> Tensor:
    """Each head once for every query head of its group, as repeat_kv writes it."""
    n, heads, tokens, size = x.shape
    times = HEADS // heads
    return x[:, :, None, :, :].expand(n, heads, times, tokens, size).reshape(n, HEADS, tokens, size)


@spelling_grouped("transformers")
def repeat_kv(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.matmul(q, _shown(k).transpose(2, 3)) * SIZE**-0.5
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype)
    return torch.matmul(weights, _shown(v))


@spelling_grouped("transformers")
def repeat_kv_whole(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, _shown(k), _shown(v), scale=SIZE**-0.5)


@spelling_grouped("hand")
def repeat_interleave(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    k, v = (x.repeat_interleave(HEADS // GROUPS, dim=1) for x in (k, v))
    return F.softmax(q @ k.transpose(-1, -2) * SIZE**-0.5, -1) @ v


@spelling_grouped("torchtune-like")
def expanded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    k, v = (x.unsqueeze(2).expand(-1, -1, HEADS // GROUPS, -1, -1).flatten(1, 2) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v)


@spelling_grouped("lucidrains-like")
def grouped_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q = q.reshape(1, GROUPS, HEADS // GROUPS, TOKENS, SIZE)
    scores = torch.einsum("bhgid,bhjd->bhgij", q * SIZE**-0.5, k)
    out = torch.einsum("bhgij,bhjd->bhgid", scores.softmax(-1), v)
    return out.reshape(1, HEADS, TOKENS, SIZE)


@spelling_grouped("hand")
def grouped_broadcast(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q = q.unflatten(1, (GROUPS, HEADS // GROUPS))
    scores = q @ k.unsqueeze(2).transpose(-1, -2) * SIZE**-0.5
    return (scores.softmax(-1) @ v.unsqueeze(2)).flatten(1, 2)


@spelling_grouped("hand")
def stacked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    k, v = (torch.stack([x] * (HEADS // GROUPS), 2).view(1, HEADS, TOKENS, SIZE) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v)


@spelling_grouped("hand")
def repeated(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    times = HEADS // GROUPS
    k, v = (x.unsqueeze(2).repeat(1, 1, times, 1, 1).reshape(q.shape) for x in (k, v))
    return F.softmax(torch.matmul(q, k.transpose(2, 3)) / math.sqrt(SIZE), -1) @ v
