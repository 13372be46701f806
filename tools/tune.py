"""`tosaic tune`: the recipe that suits a budget, searched per layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.status import Status

from tosaic.errors import InputError
from tosaic.quantizer.recipe import find_recipe
from tosaic.targets import target as find_target
from tosaic.tools import console
from tosaic.tools.evaluate import calibration_items, numbers, read_data, read_metrics

if TYPE_CHECKING:
    from tosaic.tuning.tune import Progress, Trial, TuneResult


@click.command("tune")
@click.argument("model")
@click.option("--calibration", required=True, metavar="NPZ", help="Samples of every input.")
@click.option("--data", required=True, metavar="NPZ|DIR|FILE.py:NAME", help="To judge recipes on.")
@click.option("--labels", metavar="ARRAY", help="The .npz array of labels.  [default: labels]")
@click.option("--mean", default="0", show_default=True, metavar="R,G,B", help="Of image folders.")
@click.option("--deviation", default="1", show_default=True, metavar="R,G,B", help="Likewise.")
@click.option("--target", default="ethos-u55-128", show_default=True, help="See `tosaic targets`.")
@click.option("--metric", default="sqnr", show_default=True, metavar="NAME|FILE.py:NAME")
@click.option("--budget", multiple=True, metavar="cycles=170000", help="Also flash, sram, dram.")
@click.option("--floor", type=float, help="The least quality; the cheapest recipe is searched.")
@click.option("--quantize", "recipe", default="int8", show_default=True, metavar="RECIPE")
@click.option("--weights", metavar="w8,w4,c16,p50", help="Choices.  [default: w8,w4,c32,c16]")
@click.option("--activations", metavar="a8,a16", help="Choices.  [default: a8,a16]")
@click.option("--trials", default=200, show_default=True, help="The most recipes to try.")
@click.option("--workers", default=1, show_default=True, help="Processes; 0 is this one alone.")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler, in place of --workers.")
@click.option("--input-shape", multiple=True, metavar="1x3x8x8", help="One per input, [:dtype].")
@click.option("--inputs", metavar="NPZ", help="Example inputs, in place of --input-shape.")
@click.option("-o", "--output", "folder", required=True, metavar="DIR", help="Where files go.")
def tune_command(
    model: str,
    calibration: str,
    data: str,
    labels: str | None,
    mean: str,
    deviation: str,
    target: str,
    metric: str,
    budget: tuple[str, ...],
    floor: float | None,
    recipe: str,
    weights: str | None,
    activations: str | None,
    trials: int,
    workers: int,
    scheduler: str | None,
    input_shape: tuple[str, ...],
    inputs: str | None,
    folder: str,
) -> None:
    """Search how to quantise each layer of MODEL: the best quality within a budget.

    MODEL and the data are as in `tosaic evaluate`. DIR gets recipe.toml for `tosaic compile`,
    pareto.svg, trials.json, and each finished trial: run again, an interrupted search goes on.
    """
    limits = budgets(budget)
    chosen, base = find_target(target), find_recipe(recipe)
    console.quiet_torch()
    from tosaic.tools import user_model
    from tosaic.tuning.choices import ACTIVATIONS, WEIGHTS
    from tosaic.tuning.tune import tune

    user = user_model.load_model(model)
    examples = user_model.example_inputs(user, input_shape, inputs, calibration)
    functions = read_metrics([metric])
    judge = next(iter(functions.values())) if isinstance(functions, dict) else metric
    with _Shown() as progress:
        result = tune(
            user.model,
            examples,
            calibration=calibration_items(calibration, user, examples),
            data=read_data(
                data,
                user,
                examples,
                labels,
                numbers("mean", mean),
                numbers("deviation", deviation),
            ),
            target=chosen,
            metric=judge,
            budget=limits or None,
            floor=floor,
            recipe=base,
            weights=weights.split(",") if weights else WEIGHTS,
            activations=activations.split(",") if activations else ACTIVATIONS,
            trials=trials,
            workers=workers,
            scheduler=scheduler,
            folder=f"{folder}/trials",
            progress=progress,
        )
    files = result.save(folder)
    _print(result)
    console.stdout().print("\n".join(map(str, files)), markup=False)


def budgets(texts: Sequence[str]) -> dict[str, int]:
    """Return ``{"cycles": 170000}`` for ``["cycles=170000"]``.

    Raises:
        InputError: a text has another form.
    """
    out = {}
    for text in texts:
        name, _, most = text.partition("=")
        if not name or not most.isdigit():
            raise InputError(
                f"--budget {text} cannot be read. Write what and how much, such as cycles=170000 "
                "or flash=65536 (bytes)."
            )
        out[name] = int(most)
    return out


class _Shown:
    """Shows how far the search is: a line that changes on a terminal, else a line each."""

    def __init__(self) -> None:
        self._console = console.stderr()
        self._status: Status | None = None

    def __enter__(self) -> _Shown:
        if self._console.is_terminal:
            self._status = Status("starting", console=self._console)
            self._status.start()
        return self

    def __call__(self, progress: Progress) -> None:
        text = f"{progress.done} trials ({progress.resumed} found), at most {progress.left} more, "
        text += f"{_duration(progress.seconds_left)}"
        if progress.best is not None:
            text += f"; best {progress.best.quality:.4g}"
        if self._status is not None:
            self._status.update(text)
        else:
            self._console.print(text, markup=False)

    def __exit__(self, *details: object) -> None:
        if self._status is not None:
            self._status.stop()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _print(result: TuneResult) -> None:
    table = console.table(
        "recipe", f">{result.metric}", ">SQNR dB", ">cycles", ">flash B", ">SRAM B", ">DRAM B"
    )

    def row(name: str, trial: Trial) -> None:
        f = trial.figures
        costs = (f"{f.cost(cost):,}" for cost in ("cycles", "flash", "sram", "dram"))
        table.add_row(name, f"{f.quality:.4f}", f"{f.sqnr_db:.2f}", *costs)

    for trial in result.trials:
        if trial.name and not trial.figures.error:
            row(trial.name, trial)
    row("best", result.best)
    console.show(table)
    limits = [f"{name} at most {most:,}" for name, most in result.budget.items()]
    limits += [f"{result.metric} at least {result.floor}"] if result.floor is not None else []
    count = f"{len(result.trials)} trials; {', '.join(limits)}"
    kept = "" if result.is_within else "; NO trial kept to that, best comes nearest"
    console.stdout().print(f"{count}{kept}", markup=False)
