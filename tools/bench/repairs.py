"""Measure what each repair gains on one model of the set: SQNR on held-out inputs, in dB.

The recipe is first taken without any; each line shows the figures before and after one more.

    python tools/bench/repairs.py ds_cnn --quantize a8w4
"""

from __future__ import annotations

import click

from tosaic.tools import console
from tosaic.tools.bench import models as bench


@click.command(help=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
@click.argument("model_name", metavar="MODEL")
@click.option("--quantize", "recipe", default="int8", show_default=True, metavar="RECIPE")
@click.option("--seed", default=0, show_default=True, help="Of weights and inputs.")
def main(*, model_name: str, recipe: str, seed: int) -> None:
    """Print a line for each repair."""
    import torch

    from tosaic.reports.repairs import repair_report

    torch.set_num_threads(1)  # the last bits of a sum depend on the number of threads
    console.quiet_torch()
    calibration = bench.calibration_inputs(model_name, seed)
    report = repair_report(
        bench.load_models().build(model_name, seed=seed),
        calibration[:1],
        calibration,
        quantize=recipe,
        held_out=bench.held_out_inputs(model_name, seed),
    )
    for step in report.steps:
        kept = "kept" if step.kept else "left out"
        click.echo(f"{step.name:17} {step.before_db:5.1f} {step.after_db:5.1f}  {kept}")


if __name__ == "__main__":
    main()
