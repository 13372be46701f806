"""MobileNetV3-Small.

Source: Howard et al., "Searching for MobileNetV3", arXiv:1905.02244; squeeze-and-excite from Hu et
al., arXiv:1709.01507. Structure, initialisation and the order of the state dict's entries are
torchvision's, so that its published weights can be copied across in order.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["MobileNetV3Small"]


class _Block(NamedTuple):
    """One row of table 2 of the paper."""

    kernel: int
    expanded: int
    channels_out: int
    squeeze: bool
    hardswish: bool
    stride: int


_BLOCKS = (
    _Block(3, 16, 16, True, False, 2),
    _Block(3, 72, 24, False, False, 2),
    _Block(3, 88, 24, False, False, 1),
    _Block(5, 96, 40, True, True, 2),
    _Block(5, 240, 40, True, True, 1),
    _Block(5, 240, 40, True, True, 1),
    _Block(5, 120, 48, True, True, 1),
    _Block(5, 144, 48, True, True, 1),
    _Block(5, 288, 96, True, True, 2),
    _Block(5, 576, 96, True, True, 1),
    _Block(5, 576, 96, True, True, 1),
)


def _conv_bn(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    activation: type[nn.Hardswish] | type[nn.ReLU] | None = None,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(
            channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False
        ),
        nn.BatchNorm2d(channels_out, eps=0.001, momentum=0.01),
    ]
    if activation is not None:
        layers.append(activation(inplace=True))
    return nn.Sequential(*layers)


def _round_to_eight(channels: int) -> int:
    """Nearest multiple of eight, at least eight, never more than a tenth below ``channels``."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class _SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _round_to_eight(channels // 4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.activation = nn.ReLU()
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.gate(self.expand(self.activation(self.reduce(self.pool(x))))) * x
        return result


class _InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze-and-excite, project; residual add in place where possible."""

    def __init__(self, channels_in: int, block: _Block) -> None:
        super().__init__()
        activation = nn.Hardswish if block.hardswish else nn.ReLU
        layers: list[nn.Module] = []
        if block.expanded != channels_in:
            layers.append(_conv_bn(channels_in, block.expanded, 1, activation=activation))
        layers.append(
            _conv_bn(
                block.expanded,
                block.expanded,
                block.kernel,
                block.stride,
                groups=block.expanded,
                activation=activation,
            )
        )
        if block.squeeze:
            layers.append(_SqueezeExcite(block.expanded))
        layers.append(_conv_bn(block.expanded, block.channels_out, 1))
        self.block = nn.Sequential(*layers)
        self.residual = block.stride == 1 and channels_in == block.channels_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        if self.residual:
            y += x
        return y


class MobileNetV3Small(nn.Module):
    """MobileNetV3-Small at width 1.0 for ImageNet."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        channels = 16
        layers: list[nn.Module] = [_conv_bn(3, channels, 3, 2, activation=nn.Hardswish)]
        for block in _BLOCKS:
            layers.append(_InvertedResidual(channels, block))
            channels = block.channels_out
        layers.append(_conv_bn(channels, 6 * channels, 1, activation=nn.Hardswish))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * channels, 1024),
            nn.Hardswish(inplace=True),
            nn.Dropout(0.2, inplace=True),
            nn.Linear(1024, classes),
        )
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.classifier(torch.flatten(self.pool(self.features(x)), 1))
        return result
