"""A small recurrent net: two LSTM layers over a short sequence.

Source: Hochreiter & Schmidhuber, "Long Short-Term Memory", 1997. Weights as PyTorch draws them.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Lstm"]


class Lstm(nn.Module):
    """`nn.LSTM` from a zero state; all outputs of the last layer."""

    def __init__(self, inputs: int = 10, width: int = 20, layers: int = 2) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, width, layers)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.lstm(x)[0]
        return result
