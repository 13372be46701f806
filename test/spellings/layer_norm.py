"""Spellings of the layer norm: over the last dim, and over the channels of an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from spellings.spelling import (
    CHANNELS,
    DIM,
    Family,
    between_convolutions,
    between_linears,
    drawn,
    image,
    rows,
)

EPS = 1e-5
LAYER_NORM = Family(
    "layer_norm",
    between_linears,
    rows,
    lambda: {"weight": drawn(1, DIM, around=1.0), "bias": drawn(2, DIM)},
)
LAYER_NORM_2D = Family(
    "layer_norm_2d",
    between_convolutions,
    image,
    lambda: {"weight": drawn(1, CHANNELS, around=1.0), "bias": drawn(2, CHANNELS)},
)
FAMILIES = (LAYER_NORM, LAYER_NORM_2D)
spelling = LAYER_NORM.spelling


@spelling("torch")
def module(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, (DIM,), weight, bias, EPS)


@spelling("transformers")
def float_and_back(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x.to(torch.float32), (DIM,), weight, bias, EPS).to(x.dtype)


@spelling("transformers")
def mean_of_squares(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).pow(2).mean(-1, keepdim=True)
    x = (x - mean) / torch.sqrt(variance + EPS)
    return weight * x + bias


@spelling("timm")
def by_var(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean = x.mean(dim=-1, keepdim=True)
    variance = x.var(dim=-1, unbiased=False, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + EPS) * weight + bias


@spelling("timm")
def by_var_mean(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + EPS) * weight + bias


@spelling("timm")
def square_mean_difference(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean = x.mean(dim=-1, keepdim=True)
    variance = (torch.mean(x * x, dim=-1, keepdim=True) - mean * mean).clamp(0)
    return (x - mean) * torch.rsqrt(variance + EPS) * weight + bias


@spelling("lucidrains-like")
def without_affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], None, None, EPS) * weight + bias


@spelling("keras-like")
def folded_scale(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = torch.square(x - mean).mean(-1, keepdim=True)
    scale = torch.rsqrt(variance + EPS) * weight
    return x * scale + (bias - mean * scale)


@spelling("hand")
def sums_over_size(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.sum(-1, keepdim=True) / DIM
    variance = (centred * centred).sum(-1, keepdim=True) / DIM
    return centred / (variance + EPS).sqrt() * weight + bias


@spelling("hand")
def unsqueezed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean(-1).unsqueeze(-1)
    variance = centred.square().mean(-1)[..., None]
    return centred * (variance + EPS) ** -0.5 * weight + bias


@spelling("hand")
def addcmul(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean(-1, True)
    return torch.addcmul(bias, centred * torch.rsqrt(centred.pow(2).mean(-1, True) + EPS), weight)


@spelling("hand")
def rms_of_centred(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.rms_norm(x - x.mean(-1, keepdim=True), (DIM,), weight, EPS) + bias


@spelling("hand")
def group_of_one(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    flat = F.group_norm(x.reshape(-1, DIM), 1, weight, bias, EPS)
    return flat.reshape(x.shape)


spelling_2d = LAYER_NORM_2D.spelling


@spelling_2d("torch")
def module_2d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    last = x.permute(0, 2, 3, 1)
    return F.layer_norm(last, (CHANNELS,), weight, bias, EPS).permute(0, 3, 1, 2)


@spelling_2d("transformers")
def channels_first(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean = x.mean(1, keepdim=True)
    variance = (x - mean).pow(2).mean(1, keepdim=True)
    x = (x - mean) / torch.sqrt(variance + EPS)
    return weight[:, None, None] * x + bias[:, None, None]


@spelling_2d("timm")
def by_var_mean_2d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    variance, mean = torch.var_mean(x, dim=1, unbiased=False, keepdim=True)
    x = (x - mean) * torch.rsqrt(variance + EPS)
    return x * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)


@spelling_2d("lucidrains-like")
def by_var_2d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    variance = torch.var(x, dim=1, unbiased=False, keepdim=True)
    mean = torch.mean(x, dim=1, keepdim=True)
    return (x - mean) / (variance + EPS).sqrt() * weight[None, :, None, None] + bias.reshape(
        1, CHANNELS, 1, 1
    )


@spelling_2d("hand")
def transposed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    return F.layer_norm(tokens, (CHANNELS,), weight, bias, EPS).transpose(1, 2).view(x.shape)


@spelling_2d("hand")
def moved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    last = torch.movedim(x, 1, -1).contiguous()
    return torch.movedim(F.layer_norm(last, (CHANNELS,), weight, bias, EPS), -1, 1).contiguous()
