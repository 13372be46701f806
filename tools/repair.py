"""`tosaic repair`: which repairs of accuracy help a model, and the recipe with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tosaic.errors import InputError
from tosaic.quantizer.recipe import find_recipe
from tosaic.tools import console
from tosaic.tools.arrays import samples


@click.command("repair")
@click.argument("model")
@click.option("--quantize", "recipe", default="int8", show_default=True, metavar="RECIPE")
@click.option("--calibration", required=True, metavar="NPZ", help="Samples of every input.")
@click.option("--data", metavar="NPZ", help="Samples to judge by, others than --calibration's.")
@click.option("-o", "--output", metavar="TOML", help="Write the recipe with what helped here.")
@click.option("--input-shape", multiple=True, metavar="1x3x8x8", help="One per input, [:dtype].")
@click.option("--inputs", metavar="NPZ", help="Example inputs, in place of --input-shape.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def repair_command(
    model: str,
    recipe: str,
    calibration: str,
    data: str | None,
    output: str | None,
    input_shape: tuple[str, ...],
    inputs: str | None,
    as_json: bool,
) -> None:
    """Try each repair of MODEL's accuracy under RECIPE and show what it gains.

    MODEL, RECIPE and the files are as in `tosaic compile`. Without --data, every fourth sample of
    --calibration is kept back to judge by. Nothing is trained.
    """
    chosen = find_recipe(recipe)
    if output is not None and not output.lower().endswith(".toml"):
        raise InputError(f"A recipe is a .toml file; '{output}' is none. Choose another name.")
    console.quiet_torch()
    from tosaic.reports.repairs import repair_report
    from tosaic.tools import user_model

    user = user_model.load_model(model)
    examples = user_model.example_inputs(user, input_shape, inputs, calibration)

    def items(path: str) -> list[Any]:
        slots, arrays = user_model.calibration_slots(path, user, examples)
        return [tuple(batch) for batch in samples(path, slots, arrays)]

    report = repair_report(
        user.model,
        examples,
        items(calibration),
        quantize=chosen,
        held_out=items(data) if data else (),
        progress=lambda step: console.stderr().print(f"{step} …", markup=False),
    )
    if output is not None:
        report.recipe.save(Path(output))
    if as_json:
        steps = [step.to_dict() for step in report.steps]
        text = {"before_db": report.before_db, "after_db": report.after_db, "steps": steps}
        click.echo(json.dumps(text, indent=2))
        return
    table = console.table("repair", "before, dB", "after, dB", "kept", "seconds")
    for s in report.steps:
        figures = f"{s.before_db:.1f}", f"{s.after_db:.1f}"
        table.add_row(s.name, *figures, "yes" if s.kept else "no", f"{s.seconds:.1f}")
    console.show(table)
    out = console.stdout()
    out.print(
        f"SQNR {report.before_db:.1f} dB without, {report.after_db:.1f} dB with", markup=False
    )
    if output is not None:
        out.print(f"Written to {output}", markup=False)
