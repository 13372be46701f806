"""Spellings of SiLU and hard-swish."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from spellings.spelling import Family, between_convolutions, between_linears, image, rows

SILU = Family("silu", between_linears, rows)
HARD_SWISH = Family("hard_swish", between_convolutions, image)
FAMILIES = (SILU, HARD_SWISH)
spelling = SILU.spelling


@spelling("torch")
def module(x: Tensor) -> Tensor:
    return F.silu(x)


@spelling("timm")
def swish(x: Tensor) -> Tensor:
    return x.mul(x.sigmoid())


@spelling("timm")
def swish_in_place(x: Tensor) -> Tensor:
    return x.clone().mul_(x.sigmoid())


@spelling("hand")
def sigmoid_first(x: Tensor) -> Tensor:
    return torch.sigmoid(x) * x


@spelling("hand")
def over_exponential(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


@spelling("hand")
def reciprocal(x: Tensor) -> Tensor:
    return x * torch.reciprocal(1.0 + (-x).exp())


@spelling("hand")
def by_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(x / 2))


@spelling("transformers")
def float_and_back(x: Tensor) -> Tensor:
    return F.silu(x.float()).type_as(x)


@spelling("lucidrains-like")
def with_factor(x: Tensor) -> Tensor:
    beta = 1.0
    return x * torch.sigmoid(beta * x)


@spelling("keras-like")
def expit(x: Tensor) -> Tensor:
    return torch.mul(x, torch.special.expit(x))


spelling_hard = HARD_SWISH.spelling


@spelling_hard("torch")
def module_hard(x: Tensor) -> Tensor:
    return F.hardswish(x)


@spelling_hard("timm")
def relu6_over_six(x: Tensor) -> Tensor:
    return x * (F.relu6(x + 3.0) / 6.0)


@spelling_hard("timm")
def in_place(x: Tensor) -> Tensor:
    inner = F.relu6(x + 3.0).div_(6.0)
    return x.mul(inner)


@spelling_hard("torchvision")
def by_hardsigmoid(x: Tensor) -> Tensor:
    return x * F.hardsigmoid(x)


@spelling_hard("keras-like")
def times_sixth(x: Tensor) -> Tensor:
    return x * F.relu6(x + 3.0) * (1.0 / 6.0)


@spelling_hard("hand")
def by_clamp(x: Tensor) -> Tensor:
    return x * torch.clamp(x + 3, 0, 6) / 6


@spelling_hard("hand")
def by_hardtanh(x: Tensor) -> Tensor:
    return x * F.hardtanh(x + 3, 0.0, 6.0) / 6.0


@spelling_hard("hand")
def by_clip_of_sixths(x: Tensor) -> Tensor:
    return x * (x / 6 + 0.5).clip(0, 1)


@spelling_hard("hand")
def by_relu_and_minimum(x: Tensor) -> Tensor:
    six = torch.full_like(x, 6.0)
    return x * torch.minimum(F.relu(x + 3), six) / 6


@spelling_hard("hand")
def float_and_back_hard(x: Tensor) -> Tensor:
    wide = x.to(torch.float32)
    return (wide * F.relu6(wide + 3) / 6).to(x.dtype)
