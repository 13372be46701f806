"""Measure what repairs gain: SQNR on held-out inputs, in dB.

With a MODEL of the set, its recipe is first taken without any; each line shows the figures of the
fake-quantised program before and after one more:

    python tools/bench/repairs.py ds_cnn --quantize a8w4 --seed 1

Without one, the convolutional networks of --models are compiled and their integers judged: int8
against ExecuTorch's stored figures, which are of seed 0; then 4-bit weights as `a8w4` has them and
with learned rounding and equalisation, and how far that is from int8.

    python tools/bench/repairs.py --models ds_cnn,resnet8
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

import click

from tosaic.tools import console
from tosaic.tools.bench import models as bench

_STORED = Path(__file__).resolve().parent / "data" / "executorch-1.5.1.json"
_CNNS = tuple(
    name
    for name, model in bench.load_models().MODELS.items()
    if model.convolutional and len(model.input_shape) in {2, 4}
)


@click.command(help=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
@click.argument("model_name", metavar="MODEL", required=False)
@click.option("--quantize", "recipe", default="int8", show_default=True, metavar="RECIPE")
@click.option("--models", default=",".join(_CNNS), help="Without MODEL; comma-separated.")
@click.option("--seed", default=0, show_default=True, help="Of weights and inputs.")
@click.option("--calibration", "count", type=click.IntRange(1), help="How many inputs, not 8.")
def main(*, model_name: str | None, recipe: str, models: str, seed: int, count: int | None) -> None:
    """Print a line for each repair of a model, or for each model."""
    import torch

    torch.set_num_threads(1)  # the last bits of a sum depend on the number of threads
    console.quiet_torch()
    if model_name is not None:
        _try_each(model_name, recipe, seed, count)
    else:
        _compare(models.split(","), seed, count)


def _calibration(name: str, seed: int, count: int | None) -> list[Any]:
    if count is None:
        return list(bench.calibration_inputs(name, seed))
    models = bench.load_models()
    return list(models.structured_inputs(models.MODELS[name].input_shape, count, seed))


def _try_each(name: str, recipe: str, seed: int, count: int | None) -> None:
    from tosaic.reports.repairs import repair_report

    calibration = _calibration(name, seed, count)
    report = repair_report(
        bench.load_models().build(name, seed=seed),
        calibration[:1],
        calibration,
        quantize=recipe,
        held_out=bench.held_out_inputs(name, seed),
    )
    for step in report.steps:
        kept = "kept" if step.kept else "left out"
        click.echo(f"{step.name:17} {step.before_db:5.1f} {step.after_db:5.1f}  {kept}")


def _compare(names: list[str], seed: int, count: int | None) -> None:
    from tosaic.quantizer import QuantRecipe, find_recipe

    stored = json.loads(_STORED.read_text(encoding="utf-8"))["models"]
    repaired = QuantRecipe(weights="int4", rounding="learned", equalisation=True)
    heads = ("ExecuTorch", "int8", "gain", "a8w4", "repaired", "to int8", "seconds")
    click.echo(f"{'':18} " + " ".join(f"{head:>10}" for head in heads))
    gains = []
    for name in names:
        theirs = stored[name]["ethos-u55-128"]["sqnr_db"] if seed == 0 and count is None else None
        plain, _ = compiled_sqnr_db(name, find_recipe("int8"), seed, count)
        narrow, _ = compiled_sqnr_db(name, find_recipe("a8w4"), seed, count)
        better, seconds = compiled_sqnr_db(name, repaired, seed, count)
        gain = None if theirs is None else plain - theirs
        if gain is not None:
            gains.append(gain)
        figures = (theirs, plain, gain, narrow, better, better - plain, seconds)
        cells = ("" if figure is None else f"{figure:.1f}" for figure in figures)
        click.echo(f"{name:18} " + " ".join(f"{cell:>10}" for cell in cells))
    if gains:
        click.echo(f"gain: {statistics.fmean(gains):.1f} on average, {min(gains):.1f} at least")


def compiled_sqnr_db(
    name: str, recipe: Any, seed: int = 0, count: int | None = None
) -> tuple[float, float]:
    """Return the SQNR in dB of a compiled model's integers, and the seconds quantising took."""
    import torch

    import tosaic
    from tosaic.quantizer import TosaQuantizer, quantize

    models = bench.load_models()
    model, held_out = models.build(name, seed=seed), bench.held_out_inputs(name, seed)
    calibration = _calibration(name, seed, count)
    start = time.perf_counter()
    rounded = quantize(model, calibration[:1], calibration, quantizer=TosaQuantizer(recipe))
    seconds = time.perf_counter() - start
    program = tosaic.compile(rounded, target="tosa-1.0-int")
    with torch.no_grad():
        real = torch.stack([model(x) for x in held_out])
    given = torch.stack([torch.from_numpy(program.run(x)[0]) for x in held_out])
    return float(models.sqnr_db(real, given)), seconds


if __name__ == "__main__":
    main()
