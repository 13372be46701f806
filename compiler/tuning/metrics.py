"""Figures of merit of a model's outputs: against labels, and against the float model's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.errors import InputError

Array = npt.NDArray[Any]
Metric = Callable[[Any, Any], float]


def top_k(scores: Array, labels: Array, k: int) -> float:
    """Return the share of samples whose class is among the `k` best scores.

    `scores` is [samples, classes, …], `labels` [samples, …] of class numbers. Of equal scores, the
    lower class number is better, as for argmax.
    """
    classes = np.expand_dims(labels.astype(np.int64), 1)
    own = np.take_along_axis(scores, classes, 1)
    number = np.arange(scores.shape[1]).reshape(-1, *[1] * (scores.ndim - 2))
    better = (scores > own) | ((scores == own) & (number < classes))
    return float((better.sum(1) < k).mean())


def top1(scores: Array, labels: Array) -> float:
    """Return the share of samples whose class has the best score."""
    return top_k(scores, labels, 1)


def top5(scores: Array, labels: Array) -> float:
    """Return the share of samples whose class is among the five best scores."""
    return top_k(scores, labels, 5)


METRICS: dict[str, Metric] = {"top1": top1, "top5": top5}


def confusion(scores: Array, labels: Array) -> npt.NDArray[np.int64]:
    """Return [classes, classes]: how often samples of the row's class got the column's."""
    classes = scores.shape[1]
    places = labels.astype(np.int64).ravel() * classes + scores.argmax(1).ravel()
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def is_classification(outputs: Sequence[Array], labels: Array | None) -> bool:
    """Whether `labels` are class numbers for the first output, scores along its axis 1."""
    if labels is None or labels.dtype.kind not in "iu" or outputs[0].ndim < 2:
        return False
    shape = (outputs[0].shape[0], *outputs[0].shape[2:])
    if labels.shape != shape:
        return False
    return bool(labels.min(initial=0) >= 0 and labels.max(initial=0) < outputs[0].shape[1])


def sqnr_db(reference: Sequence[Array], test: Sequence[Array], *, mean_removed: bool) -> float:
    """Return the ratio of signal to quantisation noise of `test` against `reference`, in dB.

    Arrays have samples along the leading axis; several outputs count together, each scaled to the
    same signal power. With `mean_removed`, what is the same for every sample is no signal. The
    noise is counted whole. Infinite when equal, minus infinite where there is no signal.
    """
    ratios = []
    for exact, seen in zip(reference, test, strict=True):
        signal = exact.astype(np.float64)
        noise = np.square(seen.astype(np.float64) - signal).sum()
        if mean_removed:
            signal = signal - (signal.mean(0) if len(signal) > 1 else signal.mean())
        power = np.square(signal).sum()
        ratios.append(noise / power if power else (math.inf if noise else 0.0))
    ratio = float(np.mean(ratios))
    return math.inf if ratio == 0 else -math.inf if math.isinf(ratio) else -10 * math.log10(ratio)


def chosen_metrics(
    wanted: Sequence[str] | Mapping[str, Metric] | None,
    outputs: Sequence[Array],
    labels: Array | None,
) -> dict[str, Metric]:
    """Return the metrics to compute: those wanted, else those that suit the data.

    Raises:
        InputError: there is no such metric, or the data has no class numbers for it.
    """
    if isinstance(wanted, Mapping):
        return dict(wanted)
    classified = is_classification(outputs, labels)
    if wanted is None:
        if not classified:
            return {}
        names = ["top1", *(["top5"] if outputs[0].shape[1] > 5 else [])]
        return {name: METRICS[name] for name in names}
    unknown = next((name for name in wanted if name not in METRICS), None)
    if unknown is not None:
        raise InputError(
            f"There is no metric named '{unknown}'; there are {', '.join(METRICS)}. Give your own "
            "as a function of outputs and labels."
        )
    if wanted and not classified:
        told = "has no labels" if labels is None else f"has labels of shape {list(labels.shape)}"
        raise InputError(
            f"{' and '.join(wanted)} need a class number per sample, scores along axis 1 of the "
            f"first output ({list(outputs[0].shape)} here); the data {told}. Give labels, or a "
            "metric function of your own."
        )
    return {name: METRICS[name] for name in wanted}
