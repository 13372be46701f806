"""The smallest model file that the command line takes: a factory, and inputs to export it on.

tosaic compile examples/tiny_cnn.py:tiny_cnn --target tosa-1.0-fp -o out
"""

import torch
from torch import Tensor, nn


class TinyCnn(nn.Module):
    """Two convolutions and a classifier for 3x16x16 images; about 1000 weights."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(8, classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features(image)).flatten(1))


def tiny_cnn() -> nn.Module:
    """Return the model, ready to compile: trained (here: seeded) weights and eval mode."""
    torch.manual_seed(0)
    return TinyCnn().eval()


# What the model is exported on. Its values do not matter, its shapes and dtypes do.
example_inputs = (torch.zeros(1, 3, 16, 16),)
