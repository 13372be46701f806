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

from tosaic.errors import InputError
from tosaic.quantizer.histograms import (
    Histogram,
    by_divergence,
    by_percentile,
    by_squared_error,
)

Bounds = tuple[float, float]
UNBOUNDED: Bounds = (float("-inf"), float("inf"))
_LARGEST_CUBED = 1e12
_ROWS_PER_CALL = 64
_BINS = 2048
# Rows that vary less, as padding does, count as if they varied this much.
_LEAST_VARIANCE = 1e-3
Search = Callable[[Histogram, int, float], tuple[float, float]]


class NaNObservedError(InputError):
    """A range is to be found from data with NaN in it."""


class _Headroom:
    """Widens what an observer has seen by a fraction, not beyond what the op can produce.

    Of rows along `dim`, what is more than `reach` below the largest counts as if it were that far
    below, and so does, in the whole tensor, what is more than `depth` below.
    """

    def __init__(
        self,
        headroom: float,
        bounds: Bounds,
        depth: float | None = None,
        dim: int | None = None,
        reach: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.headroom = headroom
        self.bounds = bounds
        self.depth, self.dim, self.reach = depth, dim, reach

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Look at what of `x` is finite: an infinity (of a mask, say) is cut off in any case.

        Raises:
            NaNObservedError: there is a NaN.
        """
        seen = self._relevant(x.detach())
        if not bool(seen.sum().isfinite()):
            if bool(seen.isnan().any()):
                raise NaNObservedError(
                    "The data gives NaN, so no range can be found. Repair the data, or the model."
                )
            seen = seen[seen.isfinite()]
        super().forward(seen)  # type: ignore[misc]
        return x

    def _relevant(self, x: torch.Tensor) -> torch.Tensor:
        if self.dim is not None and x.numel():
            x = torch.maximum(x, x.amax(self.dim, keepdim=True) - self.reach)
        if self.depth is not None and x.numel():
            x = x.clamp(min=x.max().item() - self.depth)
        return x

    def _calculate_qparams(self, low: torch.Tensor, high: torch.Tensor) -> Any:
        wider = 1.0 + self.headroom
        low = torch.minimum(low, (low * wider).clamp(min=self.bounds[0]))
        high = torch.maximum(high, (high * wider).clamp(max=self.bounds[1]))
        return super()._calculate_qparams(low, high)  # type: ignore[misc]


class _Histogram(_Headroom, HistogramObserver):  # type: ignore[misc]
    def _non_linear_param_search(self) -> Any:
        # torchao's search computes cubes of ranges in float32.
        if max(abs(self.min_val.item()), abs(self.max_val.item())) > _LARGEST_CUBED:
            return self.min_val, self.max_val
        return super()._non_linear_param_search()


class _MinMax(_Headroom, MinMaxObserver):  # type: ignore[misc]
    pass


class _MovingAverage(_Headroom, MovingAverageMinMaxObserver):  # type: ignore[misc]
    pass


class _Searched(_Headroom, HistogramObserver):  # type: ignore[misc]
    """Takes the range from `search` instead of torchao's."""

    search: ClassVar[Any]  # a `Search`, static

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


class _RowLeastError(_Headroom, MinMaxObserver):  # type: ignore[misc]
    """The range of least squared error, an error measured against the variance of its row.

    That is what a norm makes of it which reads the tensor: the few rows of large numbers must not
    cost the others their precision.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.rows: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.detach().reshape(-1, x.shape[-1] if x.ndim else 1)
        rows = rows[:: -(-rows.shape[0] // _ROWS_PER_CALL)]
        self.rows.append(rows[rows.isfinite().all(1)].clone())
        return super().forward(x)

    def _calculate_qparams(self, low: torch.Tensor, high: torch.Tensor) -> Any:
        rows = torch.cat(self.rows).double()
        variance = rows.var(1, unbiased=False)
        ends = low.item(), high.item()
        if ends[0] < ends[1] and bool((variance > 0).any()):
            row_weights = 1 / variance.clamp(min=_LEAST_VARIANCE * variance.max().item())
            weights = row_weights[:, None].expand_as(rows).numpy()
            counts, _ = np.histogram(rows.numpy(), _BINS, ends, weights=weights)
            levels = self.quant_max - self.quant_min + 1
            ends = by_squared_error(Histogram(counts, *ends), levels, 100.0)
        return super()._calculate_qparams(torch.tensor(ends[0]), torch.tensor(ends[1]))


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
    "row_mse": _RowLeastError,
}
