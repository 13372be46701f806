"""`tosaic explain`: what a recipe does with each op of a model."""

from __future__ import annotations

import json

import click

from tosaic.quantizer.recipe import find_recipe
from tosaic.tools import console


@click.command("explain")
@click.argument("model")
@click.option("--quantize", "recipe", default="int8", show_default=True, metavar="RECIPE")
@click.option("--input-shape", multiple=True, metavar="1x3x8x8", help="One per input, [:dtype].")
@click.option("--inputs", metavar="NPZ", help="Example inputs, in place of --input-shape.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain_command(
    model: str, recipe: str, input_shape: tuple[str, ...], inputs: str | None, as_json: bool
) -> None:
    """Show how each op of MODEL is quantised by RECIPE, or why it is not.

    MODEL is as in `tosaic compile`; RECIPE is a recipe's name or a .toml file. No calibration data
    is needed. A .pt2 file that is quantised already is described as it is.
    """
    chosen = find_recipe(recipe)
    console.quiet_torch()
    from tosaic.reports.explain import explain
    from tosaic.tools import user_model

    user = user_model.load_model(model)
    examples = user_model.example_inputs(user, input_shape, inputs, None)
    reports = explain(user.model, examples, quantize=chosen)
    if as_json:
        click.echo(json.dumps([report.to_dict() for report in reports], indent=2))
        return
    table = console.table(
        "name", "op", "module", "from", "how", "reads", "writes", "weights", "note"
    )
    for r in reports:
        reads, writes = " ".join(r.reads), r.writes
        table.add_row(r.name, r.op, r.module, r.where, r.how, reads, writes, r.weights, r.note)
    console.show(table)
    floats = sum(r.how == "float" for r in reports)
    console.stdout().print(f"{len(reports)} ops, {floats} not quantised", markup=False)
