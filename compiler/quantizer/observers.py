"""How activation ranges are found: torchao's observers, widened a little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torchao.quantization.pt2e import (
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
)

from tosaic.quantizer.histograms import (
    Histogram,
    by_divergence,
    by_percentile,
    by_squared_error,
)

Bounds = tuple[float, float]
UNBOUNDED: Bounds = (float("-inf"), float("inf"))
Search = Callable[[Histogram, int, float], tuple[float, float]]


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


class _MovingAverage(_Headroom, MovingAverageMinMaxObserver):  # type: ignore[misc]
    pass


class _Searched(_Headroom, HistogramObserver):  # type: ignore[misc]
    """Takes the range from `search` instead of torchao's."""

    search: ClassVar[Search]

    def __init__(self, percentile: float = 100.0, **options: Any) -> None:
        super().__init__(**options)
        self.percentile = percentile

    def _non_linear_param_search(self) -> tuple[torch.Tensor, torch.Tensor]:
        counts = self.histogram.numpy().astype(np.float64)
        low, high = self.min_val.item(), self.max_val.item()
        if low < high:
            levels = self.quant_max - self.quant_min + 1
            search = type(self).search
            low, high = search(Histogram(counts, low, high), levels, self.percentile)
        return torch.tensor(low), torch.tensor(high)


class _Percentile(_Searched):
    search = staticmethod(by_percentile)


class _LeastError(_Searched):
    search = staticmethod(by_squared_error)


class _Divergence(_Searched):
    search = staticmethod(by_divergence)


ACTIVATION_OBSERVERS: dict[str, Any] = {
    "histogram": _Histogram,
    "minmax": _MinMax,
    "moving_average": _MovingAverage,
    "percentile": _Percentile,
    "mse": _LeastError,
    "kl": _Divergence,
}
