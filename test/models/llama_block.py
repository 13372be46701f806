"""One decoder block of a Llama-style language model, prefilling a short prompt.

Sources: Touvron et al., "LLaMA", arXiv:2302.13971; RMS norm (Zhang & Sennrich, arXiv:1910.07467),
grouped-query attention (Ainslie et al., arXiv:2305.13245), rotary positions (Su et al.,
arXiv:2104.09864), SwiGLU (Shazeer, arXiv:2002.05202).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LlamaBlock"]

_NEVER = -1e9  # what the mask adds to scores of later positions


class _RmsNorm(nn.Module):
    """Written out, as the published code has it."""

    def __init__(self, width: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        mean_square = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(mean_square + self.epsilon))


class LlamaBlock(nn.Module):
    """RMS norm, causal attention with shared keys and values, RMS norm, gated feed-forward."""

    cos: Tensor
    sin: Tensor
    mask: Tensor

    def __init__(
        self,
        width: int = 64,
        hidden: int = 172,
        heads: int = 4,
        key_heads: int = 2,
        length: int = 32,
    ) -> None:
        super().__init__()
        self.heads, self.key_heads, self.size = heads, key_heads, width // heads
        self.attention_norm = _RmsNorm(width)
        self.wq = nn.Linear(width, heads * self.size, bias=False)
        self.wk = nn.Linear(width, key_heads * self.size, bias=False)
        self.wv = nn.Linear(width, key_heads * self.size, bias=False)
        self.wo = nn.Linear(heads * self.size, width, bias=False)
        self.ffn_norm = _RmsNorm(width)
        self.w1 = nn.Linear(width, hidden, bias=False)
        self.w2 = nn.Linear(hidden, width, bias=False)
        self.w3 = nn.Linear(width, hidden, bias=False)
        frequencies = 10000.0 ** (-torch.arange(0, self.size, 2) / self.size)
        angles = torch.outer(torch.arange(length).float(), frequencies).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        self.register_buffer("mask", torch.full((length, length), _NEVER).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attention(self.attention_norm(x))
        y = self.ffn_norm(x)
        result: Tensor = x + self.w2(F.silu(self.w1(y)) * self.w3(y))
        return result

    def _attention(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        q = self.wq(x).view(n, length, self.heads, self.size).transpose(1, 2)
        k = self.wk(x).view(n, length, self.key_heads, self.size).transpose(1, 2)
        v = self.wv(x).view(n, length, self.key_heads, self.size).transpose(1, 2)
        k, v = self._shared(self._rotated(k)), self._shared(v)
        y = F.scaled_dot_product_attention(self._rotated(q), k, v, attn_mask=self.mask)
        result: Tensor = self.wo(y.transpose(1, 2).reshape(n, length, -1))
        return result

    def _rotated(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, -1)
        return x * self.cos + torch.cat((-right, left), -1) * self.sin

    def _shared(self, x: Tensor) -> Tensor:
        """Give each key head to the query heads of its group."""
        n, groups, length, size = x.shape
        wide = x[:, :, None].expand(n, groups, self.heads // groups, length, size)
        return wide.reshape(n, self.heads, length, size)
