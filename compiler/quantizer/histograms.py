"""Searches for the range that represents a histogram best: percentile, squared error, entropy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_MSE_STEPS = 48
_KL_STEPS = 80
_SMALLEST_FRACTION = 0.05


@dataclass(frozen=True)
class Histogram:
    """`counts` of values in equal bins from `low` to `high`."""

    counts: Array
    low: float
    high: float

    @property
    def edges(self) -> Array:
        """The borders of the bins, one more than there are bins."""
        return np.linspace(self.low, self.high, self.counts.size + 1)

    @property
    def centres(self) -> Array:
        """The middle of each bin."""
        edges = self.edges
        return np.asarray((edges[:-1] + edges[1:]) / 2)


def by_percentile(h: Histogram, levels: int, percent: float) -> tuple[float, float]:
    """Return the range of the inner `percent` per cent of the values."""
    del levels
    share = np.concatenate([[0.0], np.cumsum(h.counts)]) / h.counts.sum()
    outside = (1 - percent / 100) / 2
    low, high = np.interp([outside, 1 - outside], share, h.edges)
    # Where values pile up at an end (the zeros of a ReLU) nothing is cut off there.
    return float(low), float(high)


def by_squared_error(h: Histogram, levels: int, percent: float) -> tuple[float, float]:
    """Return the range of least squared error: rounding inside, cutting off outside."""
    del percent
    fractions = np.linspace(1.0, _SMALLEST_FRACTION, _MSE_STEPS)
    values, weights = h.centres, h.counts / h.counts.sum()
    lows, highs = min(h.low, 0.0) * fractions, max(h.high, 0.0) * fractions
    below = (np.maximum(lows[:, None] - values, 0.0) ** 2 * weights).sum(1)
    above = (np.maximum(values - highs[:, None], 0.0) ** 2 * weights).sum(1)
    step = (highs[None, :] - lows[:, None]) / (levels - 1)
    error = below[:, None] + above[None, :] + step**2 / 12
    first, second = np.unravel_index(int(np.argmin(error)), error.shape)
    return float(lows[first]), float(highs[second])


def by_divergence(h: Histogram, levels: int, percent: float) -> tuple[float, float]:
    """Return the range whose quantised distribution is nearest to the true one (Kullback-Leibler).

    Source: S. Migacz, "8-bit inference with TensorRT", 2017; here for ranges of both signs.
    """
    del percent
    low, high = min(h.low, 0.0), max(h.high, 0.0)
    fractions = np.linspace(1.0, _SMALLEST_FRACTION, _KL_STEPS)
    highs = [(low, high * f) for f in fractions]
    low, high = min(highs, key=lambda ends: _divergence(h, ends, levels))
    lows = [(low * f, high) for f in fractions]
    return min(lows, key=lambda ends: _divergence(h, ends, levels))


def _divergence(h: Histogram, ends: tuple[float, float], levels: int) -> float:
    inside = (h.centres >= ends[0]) & (h.centres <= ends[1])
    if inside.sum() <= levels:  # every bin is a level: nothing to tell ranges apart by
        return 0.0 if inside.all() else float("inf")
    kept = h.counts[inside]
    first, last = np.flatnonzero(inside)[[0, -1]]
    true = kept.copy()
    true[0] += h.counts[:first].sum()
    true[-1] += h.counts[last + 1 :].sum()
    level = np.minimum(np.arange(kept.size) * levels // kept.size, levels - 1)
    used = (kept > 0).astype(np.float64)
    shared = np.bincount(level, kept, levels) / np.maximum(np.bincount(level, used, levels), 1)
    model = shared[level] * used
    if not model.sum():
        return float("inf")
    p, q = true / true.sum(), model / model.sum()
    known = p > 0
    # A bin of outliers that the quantised distribution lacks counts as next to nothing, not as 0.
    return float((p[known] * np.log(p[known] / np.maximum(q[known], 1e-12))).sum())
