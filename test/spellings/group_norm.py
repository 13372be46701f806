"""Spellings of the group norm and the instance norm of images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from spellings.spelling import CHANNELS, Family, between_convolutions, drawn, image

EPS, GROUPS = 1e-5, 4


def _affine() -> dict[str, Tensor]:
    return {"weight": drawn(1, CHANNELS, around=1.0), "bias": drawn(2, CHANNELS)}


GROUP_NORM = Family("group_norm", between_convolutions, image, _affine)
INSTANCE_NORM = Family("instance_norm", between_convolutions, image, _affine)
FAMILIES = (GROUP_NORM, INSTANCE_NORM)
spelling = GROUP_NORM.spelling


def _by_channel(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)


@spelling("torch")
def module(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.group_norm(x, GROUPS, weight, bias, EPS)


@spelling("timm")
def float_and_back(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.group_norm(x.float(), GROUPS, weight.float(), bias.float(), EPS).to(x.dtype)


@spelling("transformers")
def grouped_var_mean(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    n, c, h, w = x.shape
    grouped = x.reshape(n, GROUPS, c // GROUPS, h, w)
    variance, mean = torch.var_mean(grouped, dim=(2, 3, 4), keepdim=True, correction=0)
    return _by_channel(
        ((grouped - mean) * torch.rsqrt(variance + EPS)).reshape(x.shape), weight, bias
    )


@spelling("hand")
def flat_groups(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    grouped = x.view(x.shape[0], GROUPS, -1)
    centred = grouped - grouped.mean(-1, keepdim=True)
    normed = centred / torch.sqrt(centred.pow(2).mean(-1, keepdim=True) + EPS)
    return _by_channel(normed.view_as(x), weight, bias)


@spelling("hand")
def by_var(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    grouped = x.reshape(x.shape[0], GROUPS, -1)
    mean, variance = grouped.mean(2, keepdim=True), grouped.var(2, unbiased=False, keepdim=True)
    return _by_channel(((grouped - mean) / (variance + EPS).sqrt()).reshape(x.shape), weight, bias)


@spelling("hand")
def affine_apart(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return _by_channel(F.group_norm(x, GROUPS, eps=EPS), weight, bias)


@spelling("hand")
def layer_norm_of_groups(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    grouped = x.reshape(x.shape[0], GROUPS, -1)
    return _by_channel(
        F.layer_norm(grouped, grouped.shape[-1:], eps=EPS).reshape(x.shape), weight, bias
    )


spelling_instance = INSTANCE_NORM.spelling


@spelling_instance("torch")
def module_instance(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=weight, bias=bias, eps=EPS)


@spelling_instance("hand")
def groups_of_one(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.group_norm(x, CHANNELS, weight, bias, EPS)


@spelling_instance("hand")
def mean_and_var(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    variance = x.var((2, 3), unbiased=False, keepdim=True)
    return _by_channel((x - mean) / torch.sqrt(variance + EPS), weight, bias)


@spelling_instance("hand")
def mean_of_squares(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean(dim=[2, 3], keepdim=True)
    variance = (centred**2).mean(dim=[2, 3], keepdim=True)
    return _by_channel(centred * torch.rsqrt(variance + EPS), weight, bias)


@spelling_instance("hand")
def adain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    flat = x.flatten(2)
    mean = flat.mean(2).view(1, CHANNELS, 1, 1)
    deviation = (flat.var(2, unbiased=False) + EPS).sqrt().view(1, CHANNELS, 1, 1)
    return _by_channel((x - mean.expand(x.shape)) / deviation.expand(x.shape), weight, bias)
