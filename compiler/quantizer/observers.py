"""How activation ranges are found: torchao's observers, widened a little."""

from __future__ import annotations

from typing import Any

import torch
from torchao.quantization.pt2e import HistogramObserver, MinMaxObserver

Bounds = tuple[float, float]
UNBOUNDED: Bounds = (float("-inf"), float("inf"))


class _Headroom:
    """Widens what an observer has seen by a fraction, not beyond what the op can produce."""

    def __init__(self, headroom: float, bounds: Bounds, **options: Any) -> None:
        super().__init__(**options)
        self.headroom = headroom
        self.bounds = bounds

    def _calculate_qparams(self, low: torch.Tensor, high: torch.Tensor) -> Any:
        wider = 1.0 + self.headroom
        low = torch.minimum(low, (low * wider).clamp(min=self.bounds[0]))
        high = torch.maximum(high, (high * wider).clamp(max=self.bounds[1]))
        return super()._calculate_qparams(low, high)  # type: ignore[misc]


class _Histogram(_Headroom, HistogramObserver):  # type: ignore[misc]
    pass


class _MinMax(_Headroom, MinMaxObserver):  # type: ignore[misc]
    pass


ACTIVATION_OBSERVERS: dict[str, Any] = {"histogram": _Histogram, "minmax": _MinMax}
