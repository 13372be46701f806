"""Tune models of the set, and the digits CNN: the figures and plots of docs/tuning.md.

Quality is judged on the held-out inputs every bench uses; for digits, on half of the test images,
and told for the other half, which the search has not seen.

    python tools/bench/tune_models.py deep_autoencoder --budget cycles=168902 -o tuned
    python tools/bench/tune_models.py digits -o tuned
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import tosaic
from tosaic.tools.bench import models as bench
from tosaic.tools.tune import budgets

_DIGITS = "digits"


def _set_model(name: str) -> tuple[Any, Sequence[Any], Sequence[Any], Sequence[Any]]:
    model = bench.load_models().build(name)
    held_out = [(x, None) for x in bench.held_out_inputs(name)]
    return model, bench.calibration_inputs(name), held_out, held_out


def _digits() -> tuple[Any, Sequence[Any], Sequence[Any], Sequence[Any]]:
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    example = _load(Path(__file__).resolve().parents[2] / "examples" / "digits.py")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
    train_x, test_x, train_y, test_y = train_test_split(
        images, torch.tensor(data.target), test_size=0.25, random_state=0, stratify=data.target
    )
    model = example.train(train_x, train_y)
    half = len(test_x) // 2
    search, unseen = [(test_x[:half], test_y[:half])], [(test_x[half:], test_y[half:])]
    return model, train_x[:128].split(1), search, unseen


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@click.command(help=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
@click.argument("name", metavar="MODEL")
@click.option("--target", default="ethos-u55-128", show_default=True)
@click.option("--budget", multiple=True, metavar="cycles=170000", help="As in `tosaic tune`.")
@click.option("--floor", type=float, help="As in `tosaic tune`.")
@click.option("--metric", default="sqnr", show_default=True)
@click.option("--weights", default="w8,w4,c32,c16", show_default=True)
@click.option("--activations", default="a8,a16", show_default=True)
@click.option("--trials", default=100, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("-o", "--output", default="tuned", show_default=True, metavar="DIR")
def main(
    *,
    name: str,
    target: str,
    budget: tuple[str, ...],
    floor: float | None,
    metric: str,
    weights: str,
    activations: str,
    trials: int,
    workers: int,
    output: str,
) -> None:
    """Tune one model and print its base, its uniform recipes and its best."""
    model, calibration, data, unseen = _digits() if name == _DIGITS else _set_model(name)
    folder = Path(output, name)
    result = tosaic.tune(
        model,
        calibration[:1],
        calibration=calibration,
        data=data,
        target=target,
        metric=metric,
        budget=budgets(budget) or None,
        floor=floor,
        weights=weights.split(","),
        activations=activations.split(","),
        trials=trials,
        workers=workers,
        folder=folder / "trials",
        progress=lambda p: print(
            f"{p.done} trials, at most {p.seconds_left:.0f} s left", end="\r", file=sys.stderr
        ),
    )
    print("\nrecipe     quality  SQNR dB     cycles    flash B   unseen")
    shown = [(t.name, t) for t in result.trials if t.name] + [("best", result.best)]
    for label, trial in shown:
        if trial.figures.error:
            continue
        f = trial.figures
        judged = tosaic.evaluate(
            model,
            unseen,
            calibration[:1],
            quantize=tosaic.QuantRecipe.from_toml(trial.recipe),
            calibration=calibration,
        ).forms["integer"]
        told = [f"{judged.sqnr_db:.2f} dB", *(f"{v:.4f}" for v in judged.metrics.values())]
        figures = f"{f.quality:8.4f} {f.sqnr_db:8.2f} {f.cycles:10,} {f.flash:10,}"
        print(f"{label:9} {figures}   {', '.join(told)}")
    print("\n".join(map(str, result.save(folder))))


if __name__ == "__main__":
    main()
