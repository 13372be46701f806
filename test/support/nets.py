"""Models made of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class Calls(nn.Module):
    """The model that computes `function`, in eval mode."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)
