"""The picture of a search: quality over cost."""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING, Any

from tosaic.errors import InputError

if TYPE_CHECKING:
    from tosaic.tuning.tune import Trial, TuneResult

_UNITS = {"cycles": "cycles per inference", "flash": "flash, bytes", "sram": "SRAM, bytes"}


def pareto_svg(result: TuneResult, *, title: str = "") -> str:
    """Return an SVG of all trials of a search, its front, uniform recipes and the best.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure_module = _import_matplotlib()
    figure = figure_module.Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()

    def places(trials: Any) -> tuple[list[int], list[float]]:
        return (
            [t.figures.cost(result.axis) for t in trials],
            [t.figures.quality for t in trials],
        )

    good = [trial for trial in result.trials if not trial.figures.error]
    axes.scatter(*places(good), s=12, color="0.7", label=f"{len(good)} trials", gid="trials")
    axes.step(*places(result.front), where="post", color="tab:blue", label="front")
    named = [trial for trial in good if trial.name]
    axes.scatter(*places(named), s=28, color="tab:orange", label="all layers alike", zorder=3)
    for trial in named:
        _label(axes, trial, result.axis)
    axes.scatter(*places([result.best]), s=90, marker="*", color="tab:red", label="best", zorder=4)
    limit = result.budget.get(result.axis)
    if limit is not None:
        axes.axvline(limit, color="0.4", linestyle=":", label="budget")
    if result.floor is not None:
        axes.axhline(result.floor, color="0.4", linestyle="--", label="floor")
    low, high = _interesting(result, good)
    axes.set_ylim(low, high)
    axes.set_xlabel(_UNITS.get(result.axis, f"{result.axis}, bytes"))
    axes.set_ylabel("SQNR, dB" if result.metric == "sqnr" else result.metric)
    axes.set_title(title)
    axes.legend(fontsize="small")
    axes.ticklabel_format(axis="x", style="plain")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _label(axes: Any, trial: Trial, axis: str) -> None:
    place = (trial.figures.cost(axis), trial.figures.quality)
    axes.annotate(trial.name, place, (4, 4), textcoords="offset points", fontsize="small")


def _interesting(result: TuneResult, good: list[Trial]) -> tuple[float, float]:
    """Return the range of quality to show: of the front and the base, a little wider."""
    shown = [t.figures.quality for t in (*result.front, result.base)]
    finite = [q for q in shown if abs(q) != float("inf")] or [0.0]
    low, high = min(finite), max(finite)
    edge = 0.08 * (high - low) or 0.5
    return low - edge, high + edge


def _import_matplotlib() -> Any:
    try:
        return importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise InputError(
            "The plot needs matplotlib, which is not installed. Install it with: pip install "
            "'tosaic[report]'."
        ) from error
