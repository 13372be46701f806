"""The four networks of the MLPerf Tiny inference benchmark.

Source: Banbury et al., "MLPerf Tiny Benchmark", NeurIPS Datasets and Benchmarks 2021,
arXiv:2106.07597, and its reference implementations in Keras (github.com/mlcommons/tiny,
benchmark/training). Layers, widths and biases are those of the references: with the BatchNorm
statistics they hold 24 908, 78 666, 269 992 and 221 794 values, in the order of the classes below.
One thing differs: Keras' "same" padding puts the odd row or column of a strided convolution at the
bottom and right, PyTorch's padding is symmetric. Output sizes are the same. ExecuTorch's ports of
these networks do likewise, which keeps figures comparable with its own.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["DeepAutoencoder", "DsCnn", "MobileNetV1", "ResNet8"]


def _depthwise_separable(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """3x3 depthwise then 1x1 convolution, each with BatchNorm and an in-place ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_in, 3, stride, padding=1, groups=channels_in),
        nn.BatchNorm2d(channels_in),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_in, channels_out, 1),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class DsCnn(nn.Module):
    """Keyword spotting (Zhang et al., "Hello Edge", arXiv:1711.07128), 49x10 MFCC input.

    The average pool is the reference's own: its window (24, 5), half the input's size rounded down,
    meets a 25x5 map, so the last row is not pooled.
    """

    def __init__(self, classes: int = 12) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 64, (10, 4), stride=2, padding=(5, 1)),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.Dropout(0.2),
        )
        self.blocks = nn.Sequential(*(_depthwise_separable(64, 64) for _ in range(4)))
        self.dropout = nn.Dropout(0.4)
        self.pool = nn.AvgPool2d((24, 5))
        self.classifier = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.blocks(self.stem(x)))
        result: Tensor = self.classifier(torch.flatten(self.pool(x), 1))
        return result


class _ResidualStage(nn.Module):
    """Two 3x3 convolutions; a bare 1x1 convolution on the shortcut where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = (
            nn.Identity()
            if stride == 1 and channels_in == channels_out
            else nn.Conv2d(channels_in, channels_out, 1, stride)
        )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        result: Tensor = self.relu(self.bn2(self.conv2(y)) + self.shortcut(x))
        return result


class ResNet8(nn.Module):
    """Image classification on CIFAR-10 (He et al., arXiv:1512.03385): three stages of one block."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.stages = nn.Sequential(
            _ResidualStage(16, 16, 1), _ResidualStage(16, 32, 2), _ResidualStage(32, 64, 2)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.classifier(torch.flatten(self.pool(self.stages(self.stem(x))), 1))
        return result


class DeepAutoencoder(nn.Module):
    """Anomaly detection in machine sounds (DCASE 2020 Task 2 baseline, arXiv:2006.05822)."""

    def __init__(self, features: int = 640) -> None:
        super().__init__()
        widths = (features, 128, 128, 128, 128, 8, 128, 128, 128, 128)
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise(widths):
            layers += [
                nn.Linear(width_in, width_out),
                nn.BatchNorm1d(width_out),
                nn.ReLU(inplace=True),
            ]
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(widths[-1], features)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.output(self.hidden(x))
        return result


class MobileNetV1(nn.Module):
    """Visual wake words: MobileNet (Howard et al., arXiv:1704.04861) at width 0.25, 96x96 input."""

    # (output channels, stride) of the thirteen depthwise-separable blocks at width 1.0.
    _BLOCKS = (
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        *((512, 1),) * 5,
        (1024, 2),
        (1024, 1),
    )

    def __init__(self, classes: int = 2, width: float = 0.25) -> None:
        super().__init__()
        channels = int(32 * width)
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        blocks = []
        for full_width, stride in self._BLOCKS:
            blocks.append(_depthwise_separable(channels, int(full_width * width), stride))
            channels = int(full_width * width)
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.classifier(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))
        return result
