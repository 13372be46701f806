"""How weight ranges are found: extremes, or the range of least squared error."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchao.quantization.pt2e import MinMaxObserver, PerChannelMinMaxObserver

from tosaic.quantizer.cluster import clustered_bound

_FRACTIONS = torch.linspace(1.0, 0.3, 36).tolist()


def least_error_bound(x: Tensor, axis: int | None, limit: int) -> Tensor:
    """Return b, per index of `axis`, for which rounding to ``limit`` steps up to b errs least."""
    rows = x.detach().reshape(1, -1) if axis is None else x.detach().transpose(0, axis).flatten(1)
    largest = rows.abs().amax(1, keepdim=True)
    best, least = largest, torch.full_like(largest, float("inf"))
    for fraction in _FRACTIONS:
        bound = largest * fraction
        step = (bound / limit).clamp(min=torch.finfo(torch.float32).tiny)
        rounded = (rows / step).round().clamp(-limit, limit) * step
        error = (rounded - rows).square().sum(1, keepdim=True)
        best = torch.where(error < least, bound, best)
        least = torch.minimum(error, least)
    return best.flatten()


class WeightObserver:
    """Sees the weights of now only, for training; else those of the first call, which stay.

    The others are for WeightFitter: `fitted` and `centred`, whether it is to choose how these
    weights are rounded, and to correct the bias beside them; `clusters` and `sparsity`, how many
    values they may have (0 is any number), and what share of them is zero. `learned` is for
    RoundingLearner, which comes before WeightFitter then; `equalised` and `migrated` are for the
    repairs of those names: whether the layer takes part.
    """

    def __init__(
        self,
        *,
        follows: bool = False,
        fitted: bool = False,
        centred: bool = False,
        learned: bool = False,
        equalised: bool = False,
        migrated: bool = False,
        clusters: int = 0,
        sparsity: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.follows = follows
        self.fitted = fitted
        self.centred = centred
        self.learned = learned
        self.equalised = equalised
        self.migrated = migrated
        self.clusters = clusters
        self.sparsity = sparsity
        self.seen = False

    def forward(self, x: Tensor) -> Tensor:
        """Look at the weights and return them as they are."""
        if self.follows or not self.seen:
            self.seen = True
            self._observe(x)
        return x

    def _observe(self, x: Tensor) -> None:
        low, high = self._range(x)
        self.min_val.resize_(low.shape).copy_(low)  # type: ignore[attr-defined]
        self.max_val.resize_(high.shape).copy_(high)  # type: ignore[attr-defined]

    def _range(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class WeightMinMax(WeightObserver, MinMaxObserver):  # type: ignore[misc]
    """Smallest and largest weight."""

    def _range(self, x: Tensor) -> tuple[Tensor, Tensor]:
        low, high = torch.aminmax(x.detach())
        return low, high


class PerChannelWeightMinMax(WeightObserver, PerChannelMinMaxObserver):  # type: ignore[misc]
    """Smallest and largest weight of each channel."""

    def _range(self, x: Tensor) -> tuple[Tensor, Tensor]:
        low, high = torch.aminmax(x.detach().transpose(0, self.ch_axis).flatten(1), dim=1)
        return low, high


class WeightLeastError(WeightObserver, MinMaxObserver):  # type: ignore[misc]
    """The range of least squared error."""

    def _range(self, x: Tensor) -> tuple[Tensor, Tensor]:
        bound = least_error_bound(x, None, self.quant_max).squeeze(0)
        return -bound, bound


class PerChannelWeightLeastError(WeightObserver, PerChannelMinMaxObserver):  # type: ignore[misc]
    """The range of least squared error of each channel."""

    def _range(self, x: Tensor) -> tuple[Tensor, Tensor]:
        bound = least_error_bound(x, self.ch_axis, self.quant_max)
        return -bound, bound


class PerChannelWeightClustered(WeightObserver, PerChannelMinMaxObserver):  # type: ignore[misc]
    """The range of least squared error of each channel, as the values they share allow."""

    def _range(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x.detach().transpose(0, self.ch_axis).flatten(1)
        bound = clustered_bound(rows, self.quant_max, self.clusters)
        return -bound, bound


WEIGHT_OBSERVERS: dict[tuple[str, bool], Any] = {
    ("minmax", False): WeightMinMax,
    ("minmax", True): PerChannelWeightMinMax,
    ("mse", False): WeightLeastError,
    ("mse", True): PerChannelWeightLeastError,
    ("clustered", False): WeightMinMax,
    ("clustered", True): PerChannelWeightClustered,
}
