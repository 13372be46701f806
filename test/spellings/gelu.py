"""Spellings of GELU: exact, by tanh, by sigmoid."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from spellings.spelling import Family, between_linears, rows

GELU = Family("gelu", between_linears, rows)
GELU_TANH = Family("gelu_tanh", between_linears, rows)
GELU_SIGMOID = Family("gelu_sigmoid", between_linears, rows)
FAMILIES = (GELU, GELU_TANH, GELU_SIGMOID)
spelling = GELU.spelling


@spelling("torch")
def module(x: Tensor) -> Tensor:
    return F.gelu(x)


@spelling("transformers")
def bert(x: Tensor) -> Tensor:
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


@spelling("keras-like")
def half_last(x: Tensor) -> Tensor:
    return 0.5 * (x * (1.0 + torch.erf(x * (1.0 / math.sqrt(2.0)))))


@spelling("hand")
def by_normal_cdf(x: Tensor) -> Tensor:
    return x * (0.5 * (1 + torch.erf(x / 2**0.5)))


@spelling("hand")
def by_erfc(x: Tensor) -> Tensor:
    return 0.5 * x * torch.erfc(-x * math.sqrt(0.5))


@spelling("hand")
def expanded(x: Tensor) -> Tensor:
    half = x / 2
    return half + half * torch.erf(x * 0.7071067811865476)


@spelling("hand")
def float_and_back(x: Tensor) -> Tensor:
    return F.gelu(x.to(torch.float32)).to(x.dtype)


@spelling("hand")
def root_as_tensor(x: Tensor) -> Tensor:
    return x * 0.5 * (1.0 + torch.erf(x / torch.sqrt(torch.tensor(2.0))))


spelling_tanh = GELU_TANH.spelling


@spelling_tanh("torch")
def module_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


@spelling_tanh("transformers")
def gpt2(x: Tensor) -> Tensor:
    inside = math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))
    return 0.5 * x * (1.0 + torch.tanh(inside))


@spelling_tanh("transformers")
def fast(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)))


@spelling_tanh("timm")
def cubed(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


@spelling_tanh("hand")
def as_sigmoid(x: Tensor) -> Tensor:
    return x * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


@spelling_tanh("hand")
def float_cubed(x: Tensor) -> Tensor:
    wide = x.float()
    out = 0.5 * wide * (1 + torch.tanh((wide + wide.pow(3) * 0.044715) * math.sqrt(2 / math.pi)))
    return out.to(x.dtype)


spelling_sigmoid = GELU_SIGMOID.spelling


@spelling_sigmoid("lucidrains-like")
def by_sigmoid(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


@spelling_sigmoid("transformers")
def quick(x: Tensor) -> Tensor:
    return torch.sigmoid(x * 1.702) * x


@spelling_sigmoid("hand")
def over_exponential(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-1.702 * x))


@spelling_sigmoid("hand")
def float_and_back_sigmoid(x: Tensor) -> Tensor:
    wide = x.float()
    return (wide * (1.702 * wide).sigmoid()).to(x.dtype)
