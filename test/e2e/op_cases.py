"""Small models, one op or pattern each, that run in float and int8 against eager PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from support.nets import Calls

Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Case:
    """`make()` gives a module for inputs of `shapes`; int8 may differ by `tolerance` LSB."""

    name: str
    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    tolerance: int = 1
    quantizable: bool = True


CASES: list[Case] = []
IMAGE = (1, 6, 9, 8)


def _module(
    name: str, make: Callable[[], nn.Module], *shapes: tuple[int, ...], **more: int
) -> None:
    CASES.append(Case(name, make, shapes, **more))


def _function(name: str, fn: Function, *shapes: tuple[int, ...], **more: int) -> None:
    CASES.append(Case(name, lambda: Calls(fn), shapes, **more))


# Convolutions.
_module("conv", lambda: nn.Conv2d(6, 8, 3), IMAGE)
_module("conv_batch", lambda: nn.Conv2d(6, 8, 3, padding=1), (3, 6, 9, 8))
_module("conv_stride", lambda: nn.Conv2d(6, 8, 3, stride=2, padding=1), IMAGE)
_module("conv_stride_cut", lambda: nn.Conv2d(6, 8, 2, stride=3), IMAGE)
_module("conv_asymmetric", lambda: nn.Conv2d(6, 8, (3, 2), stride=(2, 1), padding=(2, 0)), IMAGE)
_module("conv_dilated", lambda: nn.Conv2d(6, 8, 3, dilation=2, padding=2), IMAGE)
_module("conv_same", lambda: nn.Conv2d(6, 8, 4, padding="same"), IMAGE)
_module("conv_valid", lambda: nn.Conv2d(6, 8, 4, padding="valid"), IMAGE)
_module("conv_nobias", lambda: nn.Conv2d(6, 8, 3, bias=False), IMAGE)
_module("conv_grouped", lambda: nn.Conv2d(6, 8, 3, groups=2), IMAGE)
_module("conv_depthwise", lambda: nn.Conv2d(6, 6, 3, groups=6), IMAGE)
_module("conv_depthwise_multiplier", lambda: nn.Conv2d(6, 18, 3, groups=6), IMAGE)
_module("conv_1d", lambda: nn.Conv1d(6, 8, 3, padding=1), (1, 6, 12))
_module("conv_1d_stride", lambda: nn.Conv1d(6, 8, 3, stride=2, padding=1), (2, 6, 12))
_module("conv_1d_depthwise", lambda: nn.Conv1d(6, 6, 5, groups=6), (1, 6, 12))
_module("conv_unbatched", lambda: nn.Conv2d(6, 8, 3), (6, 9, 8))
_module("conv_relu", lambda: nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU()), IMAGE)
_module("conv_relu6", lambda: nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU6(True)), IMAGE)
_module("conv_hardtanh", lambda: nn.Sequential(nn.Conv2d(6, 8, 3), nn.Hardtanh(-0.2, 0.3)), IMAGE)
_module("conv_bn", lambda: nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8)), IMAGE)
_module(
    "conv_bn_relu",
    lambda: nn.Sequential(nn.Conv2d(6, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(True)),
    IMAGE,
)
_module("conv_transpose", lambda: nn.ConvTranspose2d(6, 8, 4, stride=2, padding=1), IMAGE)
_module("conv_transpose_3", lambda: nn.ConvTranspose2d(6, 8, 3, stride=2, output_padding=1), IMAGE)
_module("conv_transpose_grouped", lambda: nn.ConvTranspose2d(6, 8, 3, groups=2), IMAGE)
_module("conv_transpose_crop", lambda: nn.ConvTranspose2d(6, 8, 2, stride=2, padding=2), IMAGE)
_module("conv_transpose_1d", lambda: nn.ConvTranspose1d(6, 8, 3, stride=2), (1, 6, 7))
_function("conv_twice", lambda x: F.relu(x) + x, IMAGE)

# Matrix products.
_module("linear", lambda: nn.Linear(12, 7), (4, 12))
_module("linear_nobias", lambda: nn.Linear(12, 7, bias=False), (4, 12))
_module("linear_tokens", lambda: nn.Linear(12, 7), (2, 5, 12))
_module("linear_rank4", lambda: nn.Linear(12, 7), (2, 3, 5, 12))
_module("linear_vector", lambda: nn.Linear(12, 7), (12,))
_module("linear_relu", lambda: nn.Sequential(nn.Linear(12, 7), nn.ReLU()), (4, 12))
_module("linear_bn", lambda: nn.Sequential(nn.Linear(12, 7), nn.BatchNorm1d(7)), (4, 12))
_function("bmm", torch.bmm, (2, 4, 5), (2, 5, 3))
_function("mm", torch.mm, (4, 5), (5, 3))
_function("matmul_rank4", torch.matmul, (2, 3, 4, 5), (2, 3, 5, 6))
_function("matmul_broadcast", torch.matmul, (2, 3, 4, 5), (5, 6))
_function("matmul_broadcast_batch", torch.matmul, (2, 1, 4, 5), (1, 3, 5, 6))
_function("matmul_transposed", lambda x, y: x @ y.transpose(-1, -2), (2, 4, 5), (2, 3, 5))

# Norms.
_module("batch_norm", lambda: nn.BatchNorm2d(6), IMAGE)
_module("batch_norm_1d", lambda: nn.BatchNorm1d(6), (3, 6))
_module("batch_norm_1d_sequence", lambda: nn.BatchNorm1d(6), (3, 6, 5))
_module(
    "bn_relu_conv",
    lambda: nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1)),
    IMAGE,
)
_module("layer_norm", lambda: nn.LayerNorm(12), (2, 5, 12), tolerance=2)
_module("layer_norm_2d", lambda: nn.LayerNorm((5, 12)), (2, 5, 12), tolerance=2)
_function("softmax", lambda x: F.softmax(x, -1), (3, 4, 10), tolerance=2)
_function("softmax_channels", lambda x: F.softmax(x, 1), (2, 5, 4, 3), tolerance=2)
_function("log_softmax", lambda x: F.log_softmax(x, -1), (4, 10), tolerance=2)

# Activations.
for _name, _fn in {
    "relu": F.relu,
    "relu6": F.relu6,
    "hardtanh": lambda x: F.hardtanh(x, -0.5, 0.8),
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "exp": torch.exp,
    "abs": torch.abs,
    "neg": torch.neg,
    "square": lambda x: x * x,
    "pow3": lambda x: x**3,
    "clamp": lambda x: x.clamp(-0.3, 0.4),
    "clamp_min": lambda x: x.clamp(min=0.1),
    "rsqrt": lambda x: torch.rsqrt(x * x + 1.0),
    "sqrt": lambda x: torch.sqrt(x * x + 1.0),
    "erf": torch.erf,
}.items():
    _function(_name, _fn, (2, 3, 7), tolerance=2 if _name in ("rsqrt", "sqrt") else 1)

# Arithmetic.
_function("add", torch.add, IMAGE, IMAGE)
_function("add_scaled", lambda x, y: x + 0.1 * y, IMAGE, IMAGE, tolerance=2)
_function("add_broadcast", torch.add, IMAGE, (6, 1, 1))
_function("add_scalar", lambda x: x + 0.7, IMAGE)
_function("add_relu", lambda x, y: F.relu(x + y), IMAGE, IMAGE)
_function("add_alpha", lambda x, y: torch.add(x, y, alpha=2), IMAGE, IMAGE)
_function("add_self", lambda x: x + x, IMAGE)
_function("sub", torch.sub, IMAGE, IMAGE)
_function("rsub", lambda x: 1.0 - x, IMAGE)
_function("mul", torch.mul, IMAGE, IMAGE)
_function("mul_broadcast", torch.mul, IMAGE, (1, 6, 1, 1))
_function("mul_scalar", lambda x: x * 0.3, IMAGE)
_function("mul_negative", lambda x: x * -0.3, IMAGE)
_function("div_scalar", lambda x: x / 3.0, IMAGE)
_function("div", lambda x, y: x / (y * y + 1.0), IMAGE, IMAGE, tolerance=2)
_function("maximum", torch.maximum, IMAGE, IMAGE)
_function("minimum", torch.minimum, IMAGE, IMAGE)


class _Constants(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(-1, 1, 6).reshape(1, 6, 1, 1))
        self.register_buffer("shift", torch.linspace(-2, 1, 8))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


_module("constants", _Constants, IMAGE, tolerance=2)

# Pools and reductions.
_module("max_pool", lambda: nn.MaxPool2d(2), IMAGE)
_module("max_pool_pad", lambda: nn.MaxPool2d(3, 2, 1), IMAGE)
_module("max_pool_ceil", lambda: nn.MaxPool2d(2, ceil_mode=True), IMAGE)
_module("max_pool_1d", lambda: nn.MaxPool1d(2), (1, 6, 9))
_module("avg_pool", lambda: nn.AvgPool2d(2), IMAGE)
_module("avg_pool_pad", lambda: nn.AvgPool2d(3, 1, 1), IMAGE)
_module("avg_pool_pad_out", lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False), IMAGE)
_module("avg_pool_ceil", lambda: nn.AvgPool2d(3, 2, ceil_mode=True), IMAGE)
_module("avg_pool_divisor", lambda: nn.AvgPool2d(2, divisor_override=3), IMAGE)
_module("avg_pool_1d", lambda: nn.AvgPool1d(3), (1, 6, 9))
_module("adaptive_pool", lambda: nn.AdaptiveAvgPool2d(1), IMAGE)
_module("adaptive_pool_uneven", lambda: nn.AdaptiveAvgPool2d((4, 3)), IMAGE, tolerance=2)
_module("adaptive_pool_wider", lambda: nn.AdaptiveAvgPool2d((11, 9)), IMAGE, tolerance=2)
_module("adaptive_pool_1d", lambda: nn.AdaptiveAvgPool1d(3), (1, 6, 9))
_function("mean_spatial", lambda x: x.mean((2, 3)), IMAGE)
_function("mean_keep", lambda x: x.mean((2, 3), keepdim=True), IMAGE)
_function("mean_channel", lambda x: x.mean(1), IMAGE)
_function("mean_last", lambda x: x.mean(-1, keepdim=True), (2, 5, 7))
_function("mean_all", torch.mean, (2, 5, 7))
_function("sum", lambda x: x.sum(-1), (2, 5, 7))
_function("sum_two", lambda x: x.sum((0, 2)), (2, 5, 7))
_function("amax", lambda x: x.amax(-1), (2, 5, 7))

# Movement.
_function("cat", lambda x, y: torch.cat([x, y], 1), IMAGE, IMAGE)
_function("cat_negative", lambda x, y: torch.cat([x, y], -1), IMAGE, IMAGE)
_function("cat_conv", lambda x: torch.cat([F.avg_pool2d(x, 3, 1, 1), x], 1), IMAGE, tolerance=2)
_function("stack", lambda x, y: torch.stack([x, y], 1), (2, 3), (2, 3))
_function("view", lambda x: x.view(2, 3, 72), IMAGE)
_function("flatten", lambda x: torch.flatten(x, 1), IMAGE)
_function("unsqueeze", lambda x: x.unsqueeze(1).squeeze(0), IMAGE)
_function("permute", lambda x: x.permute(0, 2, 3, 1), IMAGE)
_function("transpose", lambda x: x.transpose(1, -1), IMAGE)
_function("t", lambda x: x.t(), (3, 5))
_function("slice", lambda x: x[:, 1:5, ::2, -3:], IMAGE)
_function("select", lambda x: x[:, 2, -1], IMAGE)
_function("expand", lambda x: x.expand(4, 3, 5), (1, 3, 1))
_function("repeat", lambda x: x.repeat(2, 1, 3), (3, 5))
_function("pad", lambda x: F.pad(x, (1, 2, 0, 3)), IMAGE)
_function("pad_value", lambda x: F.pad(x, (1, 1), value=0.5), (2, 3, 4))
_function("pad_crop", lambda x: F.pad(x, (-1, 2)), (2, 3, 4))
_function("clone", lambda x: x.clone().contiguous(), IMAGE)
_module("dropout", lambda: nn.Dropout(0.5), IMAGE)


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(6, 6, 3, padding=1)
        self.b = nn.Conv2d(6, 6, 3, padding=1)
        self.n = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6 * 72, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu_(self.n(self.a(x)))
        y = self.b(y)
        y += x
        return self.fc(F.relu_(y).flatten(1))  # type: ignore[no-any-return]


class _SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 8, 1)
        self.down, self.up = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.conv(x))
        gate = F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))
        return x * F.hardsigmoid(self.up(gate))


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, t, 3, 4, c // 4).permute(2, 0, 3, 1, 4)
        weights = F.softmax(q @ k.transpose(-1, -2) * 0.5, dim=-1)
        return x + self.out((weights @ v).transpose(1, 2).reshape(n, t, c))  # type: ignore[no-any-return]


_module("residual", _Residual, IMAGE, tolerance=4)
_module("squeeze_excite", _SqueezeExcite, IMAGE, tolerance=3)
_module("attention", _Attention, (1, 7, 16), tolerance=8)
