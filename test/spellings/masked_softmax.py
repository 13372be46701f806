"""Spellings of softmax under a mask: causal and constant, padding from an input, and both."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from spellings.softmax import Attending
from spellings.spelling import TOKENS, Family, Inputs, rows, structured

# Its sum with the scores stays one, whose range is clipped to what a softmax can see.
FLOAT_MASK = "a mask of numbers given as an input need not be 0 or 1 (or the lowest)"
LOWEST = torch.finfo(torch.float32).min
BOOL, FLOAT, INTEGER, ADDED = 1, 2, 3, 4


def padded(seed: int) -> Inputs:
    """Rows, and which of them are real: as bool, 0/1 floats, 0/1 integers, 0/-1e9 floats."""
    count = TOKENS // 2 + seed % (TOKENS // 2)
    mask = torch.arange(TOKENS)[None] < count
    added = torch.zeros(1, 1, TOKENS).masked_fill(~mask[:, None], -1e9)
    return structured(seed, 1, TOKENS, 32), mask, mask.float(), mask.long(), added


CAUSAL = Family("causal_softmax", Attending, rows)
PADDED = Family("padded_softmax", Attending, padded)
CAUSAL_PADDED = Family("causal_padded_softmax", Attending, padded)
FAMILIES = (CAUSAL, PADDED, CAUSAL_PADDED)


def _visible() -> Tensor:
    return torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()


spelling = CAUSAL.spelling


@spelling("torch")
def module(x: Tensor) -> Tensor:
    return F.softmax(x.masked_fill(~_visible(), float("-inf")), -1)


@spelling("transformers")
def where_lowest(x: Tensor) -> Tensor:
    """GPT-2's eager attention."""
    lowest = torch.full([], torch.finfo(x.dtype).min, dtype=x.dtype)
    return F.softmax(torch.where(_visible(), x.to(x.dtype), lowest), dim=-1)


@spelling("transformers")
def added_lowest(x: Tensor) -> Tensor:
    """Llama's eager attention."""
    mask = torch.full((TOKENS, TOKENS), LOWEST, dtype=x.dtype).triu(diagonal=1)
    return F.softmax(x + mask[None], dim=-1, dtype=torch.float32).to(x.dtype)


@spelling("transformers")
def lowest_by_positions(x: Tensor) -> Tensor:
    place = torch.arange(TOKENS)
    mask = torch.full((TOKENS, TOKENS), LOWEST)
    mask = mask * (place > place.reshape(-1, 1))
    return F.softmax(x + mask, dim=-1)


@spelling("torchtune-like")
def added_infinity(x: Tensor) -> Tensor:
    return F.softmax(x + torch.full((TOKENS, TOKENS), -torch.inf).triu(1), -1)


@spelling("lucidrains-like")
def filled_lowest(x: Tensor) -> Tensor:
    hidden = torch.ones((TOKENS, TOKENS), dtype=torch.bool).triu(1)
    return x.masked_fill(hidden, -torch.finfo(x.dtype).max).softmax(dim=-1)


@spelling("hand")
def filled_billion(x: Tensor) -> Tensor:
    return x.masked_fill(torch.tril(torch.ones(TOKENS, TOKENS)) == 0, -1e9).softmax(-1)


@spelling("hand")
def where_otherwise(x: Tensor) -> Tensor:
    hidden = torch.ones(TOKENS, TOKENS).triu(1).bool()
    return torch.where(hidden, -1e9, x).softmax(-1)


@spelling("hand")
def times_and_less(x: Tensor) -> Tensor:
    """As the first GPT did it."""
    seen = torch.tril(torch.ones(TOKENS, TOKENS))
    return F.softmax(x * seen - 1e10 * (1 - seen), -1)


@spelling("hand")
def added_before_scaling(x: Tensor) -> Tensor:
    bias = (1.0 - torch.ones(TOKENS, TOKENS).tril()) * -1e9
    return F.softmax((x * 2 + bias) * 0.5, -1)


@spelling("hand")
def filled_after_maximum(x: Tensor) -> Tensor:
    lowered = x - x.amax(-1, keepdim=True)
    return lowered.masked_fill(~_visible(), -1e9).softmax(-1)


@spelling("hand")
def powers_times_mask(x: Tensor) -> Tensor:
    powers = torch.exp(x - x.amax(-1, keepdim=True)) * _visible().float()
    return powers / powers.sum(-1, keepdim=True)


@spelling("hand")
def filled_with_zero_powers(x: Tensor) -> Tensor:
    x = x.masked_fill(~_visible(), -math.inf)
    powers = torch.exp(x - x.amax(-1, keepdim=True))
    return powers / powers.sum(-1, keepdim=True)


@spelling("hand")
def by_comparison(x: Tensor) -> Tensor:
    place = torch.arange(TOKENS)
    return torch.where(place[:, None] >= place[None, :], x, float("-inf")).softmax(-1)


@spelling("hand")
def in_place(x: Tensor) -> Tensor:
    x = x.clone()
    x.masked_fill_(torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1), float("-inf"))
    return x.softmax(-1)


spelling_padded = PADDED.spelling


@spelling_padded("torch", takes=(0, BOOL))
def module_padded(x: Tensor, mask: Tensor) -> Tensor:
    return F.softmax(x.masked_fill(~mask[:, None], float("-inf")), -1)


@spelling_padded("transformers", takes=(0, FLOAT), differs=FLOAT_MASK)
def inverted_times_lowest(x: Tensor, mask: Tensor) -> Tensor:
    """BERT's eager attention."""
    mask = mask[:, None, :].to(dtype=x.dtype)
    return F.softmax(x + (1.0 - mask) * torch.finfo(x.dtype).min, dim=-1)


@spelling_padded("transformers", takes=(0, FLOAT), differs=FLOAT_MASK)
def inverted_filled(x: Tensor, mask: Tensor) -> Tensor:
    wide = mask[:, None, :].expand(1, TOKENS, TOKENS).to(x.dtype)
    inverted = 1.0 - wide
    added = inverted.masked_fill(inverted.to(torch.bool), torch.finfo(x.dtype).min)
    return F.softmax(x + added, dim=-1)


@spelling_padded("transformers", takes=(0, INTEGER), differs=FLOAT_MASK)
def integers_inverted(x: Tensor, mask: Tensor) -> Tensor:
    added = (1.0 - mask[:, None, :].to(x.dtype)) * LOWEST
    return F.softmax(x + added, dim=-1)


@spelling_padded("keras-like", takes=(0, FLOAT), differs=FLOAT_MASK)
def ten_thousand(x: Tensor, mask: Tensor) -> Tensor:
    return F.softmax(x + (1 - mask[:, None]) * -1e4, -1)


@spelling_padded("keras-like", takes=(0, BOOL))
def billion_of_bool(x: Tensor, mask: Tensor) -> Tensor:
    return F.softmax(x - 1e9 * mask.logical_not().float().unsqueeze(1), -1)


@spelling_padded("lucidrains-like", takes=(0, BOOL))
def filled_where_not(x: Tensor, mask: Tensor) -> Tensor:
    shape = mask.reshape(1, 1, TOKENS)
    return x.masked_fill(torch.logical_not(shape), -torch.finfo(x.dtype).max).softmax(dim=-1)


@spelling_padded("timm", takes=(0, BOOL))
def zeros_filled(x: Tensor, mask: Tensor) -> Tensor:
    added = torch.zeros_like(mask, dtype=x.dtype).masked_fill(~mask, LOWEST)
    return (x + added[:, None]).softmax(dim=-1)


@spelling_padded("hand", takes=(0, FLOAT))
def where_positive(x: Tensor, mask: Tensor) -> Tensor:
    return F.softmax(x + torch.where(mask > 0, 0.0, -1e4)[:, None], -1)


@spelling_padded("hand", takes=(0, FLOAT))
def filled_where_zero(x: Tensor, mask: Tensor) -> Tensor:
    return x.masked_fill(mask.unsqueeze(1) == 0, -1e9).softmax(-1)


@spelling_padded("hand", takes=(0, FLOAT), differs=FLOAT_MASK)
def added_before_scaling_padded(x: Tensor, mask: Tensor) -> Tensor:
    return F.softmax((x * 2 + (1 - mask[:, None]) * -1e9) / 2, -1)


@spelling_padded("hand", takes=(0, ADDED), differs=FLOAT_MASK)
def added_input(x: Tensor, mask: Tensor) -> Tensor:
    return F.softmax(x + mask, -1)


@spelling_padded("hand", takes=(0, FLOAT), differs=FLOAT_MASK)
def powers_times_mask_padded(x: Tensor, mask: Tensor) -> Tensor:
    powers = torch.exp(x - x.amax(-1, keepdim=True)) * mask[:, None]
    return powers / powers.sum(-1, keepdim=True)


@spelling_padded("hand", takes=(0, FLOAT), differs=FLOAT_MASK)
def logarithm(x: Tensor, mask: Tensor) -> Tensor:
    return F.softmax(x + (mask[:, None] + 1e-30).log(), -1)


spelling_both = CAUSAL_PADDED.spelling


@spelling_both("torch", takes=(0, BOOL))
def module_both(x: Tensor, mask: Tensor) -> Tensor:
    seen = mask[:, None] & _visible()
    return F.softmax(x.masked_fill(~seen, float("-inf")), -1)


@spelling_both("transformers", takes=(0, FLOAT))
def decoder_mask(x: Tensor, mask: Tensor) -> Tensor:
    """Llama's eager attention with padding."""
    causal = torch.full((TOKENS, TOKENS), LOWEST).triu(1)[None].clone()
    shown = causal + mask[:, None, :]
    causal = causal.masked_fill(shown == 0, LOWEST)
    return F.softmax(x + causal, dim=-1, dtype=torch.float32).to(x.dtype)


@spelling_both("transformers", takes=(0, FLOAT), differs=FLOAT_MASK)
def extended_mask(x: Tensor, mask: Tensor) -> Tensor:
    place = torch.arange(TOKENS)
    causal = place[None, None, :].repeat(1, TOKENS, 1) <= place[None, :, None]
    extended = causal.to(x.dtype) * mask[:, None, :]
    return F.softmax(x + (1.0 - extended) * LOWEST, dim=-1)


@spelling_both("hand", takes=(0, BOOL))
def filled_twice(x: Tensor, mask: Tensor) -> Tensor:
    x = x.masked_fill(~_visible(), -1e9)
    return x.masked_fill(~mask[:, None], -1e9).softmax(-1)


@spelling_both("hand", takes=(0, FLOAT), differs=FLOAT_MASK)
def two_sums(x: Tensor, mask: Tensor) -> Tensor:
    x = x + torch.full((TOKENS, TOKENS), -1e9).triu(1)
    return F.softmax(x + (1 - mask[:, None]) * -1e9, -1)


@spelling_both("hand", takes=(0, BOOL))
def where_both(x: Tensor, mask: Tensor) -> Tensor:
    seen = torch.logical_and(_visible()[None], mask.unsqueeze(-2))
    return torch.where(seen, x, torch.tensor(float("-inf"))).softmax(-1)


@spelling_both("hand", takes=(0, BOOL))
def either_hidden(x: Tensor, mask: Tensor) -> Tensor:
    hidden = ~_visible() | (~mask).unsqueeze(1)
    return x.masked_fill(hidden, torch.finfo(x.dtype).min).softmax(-1)
