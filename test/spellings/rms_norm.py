"""Spellings of the RMS norm over the last dim."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from spellings.spelling import DIM, Family, between_linears, drawn, rows

EPS = 1e-5
RMS_NORM = Family("rms_norm", between_linears, rows, lambda: {"weight": drawn(1, DIM, around=1.0)})
FAMILIES = (RMS_NORM,)
spelling = RMS_NORM.spelling


@spelling("torch")
def module(x: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(x, (DIM,), weight, EPS)


@spelling("transformers")
def llama(x: Tensor, weight: Tensor) -> Tensor:
    dtype = x.dtype
    x = x.to(torch.float32)
    variance = x.pow(2).mean(-1, keepdim=True)
    x = x * torch.rsqrt(variance + EPS)
    return weight * x.to(dtype)


@spelling("transformers")
def gemma(x: Tensor, weight: Tensor) -> Tensor:
    wide = x.float()
    out = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPS)
    out = out * (1.0 + (weight - 1.0).float())
    return out.type_as(x)


@spelling("transformers")
def t5(x: Tensor, weight: Tensor) -> Tensor:
    variance = x.to(torch.float32).pow(2).mean(-1, keepdim=True)
    x = x * torch.rsqrt(variance + EPS)
    return weight * x


@spelling("torchtune-like")
def scaled_float(x: Tensor, weight: Tensor) -> Tensor:
    wide = x.float()
    normed = (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPS)).type_as(x)
    return normed * weight


@spelling("lucidrains-like")
def normalize(x: Tensor, weight: Tensor) -> Tensor:
    return F.normalize(x, dim=-1) * math.sqrt(DIM) * weight


@spelling(
    "lucidrains-like",
    differs="core ATen makes the sum of squares a batched matrix product",
    differs_in=("core",),
)
def einsum(x: Tensor, weight: Tensor) -> Tensor:
    square = torch.einsum("btd,btd->bt", x, x)
    return x * torch.rsqrt(square / DIM + EPS)[..., None] * weight


@spelling("timm")
def square_then_scale(x: Tensor, weight: Tensor) -> Tensor:
    x = x * torch.rsqrt(torch.mean(torch.square(x), dim=-1, keepdim=True) + EPS)
    return x * weight


@spelling("keras-like")
def over_square_root(x: Tensor, weight: Tensor) -> Tensor:
    return x / torch.sqrt(torch.mean(x * x, dim=2, keepdim=True) + EPS) * weight


@spelling("hand")
def weight_over_root(x: Tensor, weight: Tensor) -> Tensor:
    return weight * (x / (x.square().mean(-1, keepdim=True) + EPS).sqrt())


@spelling("hand")
def sum_over_size(x: Tensor, weight: Tensor) -> Tensor:
    mean = (x * x).sum(-1, keepdim=True) / x.shape[-1]
    return x * (mean + EPS).rsqrt() * weight


@spelling("hand")
def mean_then_unsqueeze(x: Tensor, weight: Tensor) -> Tensor:
    mean = x.pow(2).mean(-1).unsqueeze(-1)
    return x * torch.rsqrt(mean + EPS) * weight


@spelling("hand")
def power_of_minus_half(x: Tensor, weight: Tensor) -> Tensor:
    return x * ((x**2).mean(-1, keepdim=True) + EPS) ** -0.5 * weight


@spelling("hand")
def one_over_root(x: Tensor, weight: Tensor) -> Tensor:
    return x * (1.0 / torch.sqrt(x.pow(2).mean(-1, True) + EPS)) * weight


@spelling("hand")
def reciprocal(x: Tensor, weight: Tensor) -> Tensor:
    root = (x.pow(2).mean(-1, keepdim=True) + EPS).sqrt()
    return x.mul(root.reciprocal()).mul(weight)


@spelling("hand")
def clamped_mean(x: Tensor, weight: Tensor) -> Tensor:
    mean = torch.mean(x * x, -1, keepdim=True).clamp(min=EPS)
    return x * mean.rsqrt() * weight


@spelling("hand")
def by_vector_norm(x: Tensor, weight: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / (length * DIM**-0.5).clamp(min=1e-6) * weight


@spelling("hand")
def weight_before(x: Tensor, weight: Tensor) -> Tensor:
    return (x * weight) * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS)
