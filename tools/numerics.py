"""`tosaic numerics`: where a model loses accuracy, or two compiled programs part."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tosaic.errors import InputError
from tosaic.executors import all_executors
from tosaic.quantizer.recipe import find_recipe
from tosaic.tools import console
from tosaic.tools.arrays import Array, read_inputs, samples
from tosaic.tools.program_files import as_stored, manifest_of, slot_of, tosa_file

if TYPE_CHECKING:
    from tosaic.reports.numerics import Numerics
    from tosaic.reports.numerics_programs import ProgramComparison


_LEGEND = (
    "dB of signal to noise against float, what all inputs have in common taken off: of fake\n"
    "quantisation, of the integers (plain: nothing taken off), and of the layer alone, from right\n"
    "inputs. LSB: largest error of the integers. beyond: values that saturate. range: how much of\n"
    "the integers' range is used."
)


@click.command("numerics")
@click.argument("model")
@click.argument("new", required=False)
@click.option("--quantize", "recipe", metavar="RECIPE", help="A recipe's name, or a .toml file.")
@click.option("--calibration", metavar="NPZ", help="Samples of every input, on the leading axis.")
@click.option("--data", metavar="NPZ", help="Held-out samples to judge by.  [default: calibration]")
@click.option("--samples", "count", default=16, show_default=True, help="How many to look at.")
@click.option("--target", default="tosa-1.0-int", show_default=True, help="See `tosaic targets`.")
@click.option("--executor", default="jit", show_default=True, metavar="|".join(all_executors()))
@click.option("--input-shape", multiple=True, metavar="1x3x8x8", help="One per input, [:dtype].")
@click.option("--inputs", metavar="NPZ", help="Example inputs; of two programs: what to run on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", metavar="FILE", help="Write a page with plots (needs matplotlib).")
def numerics_command(
    model: str,
    new: str | None,
    recipe: str | None,
    calibration: str | None,
    data: str | None,
    count: int,
    target: str,
    executor: str,
    input_shape: tuple[str, ...],
    inputs: str | None,
    as_json: bool,
    html: str | None,
) -> None:
    """Show MODEL in float, fake-quantised and as integers, layer by layer.

    MODEL is as in `tosaic compile`, with --quantize and --calibration; or a .pt2 file that is
    quantised already, with --data. The first layer that breaks is named, with a likely reason.

    With MODEL and NEW two compiled programs (.tosa, or their folders), all tensors that both
    compute are compared on --inputs, and the first that differs is named.
    """
    if count < 1:
        raise InputError("--samples must be at least 1.")
    if new is not None:
        if inputs is None:
            raise InputError("Two programs are compared on inputs. Pass them: --inputs data.npz.")
        if html is not None:
            raise InputError("--html is for one model, not for two programs. Use --json.")
        comparison = _compared(tosa_file(model), tosa_file(new), inputs, count, executor)
        if as_json:
            click.echo(json.dumps(comparison.to_dict(), indent=2))
        else:
            _print_comparison(comparison)
        return
    report = _measured(
        model, recipe, calibration, data, count, target, executor, input_shape, inputs
    )
    if html is not None:
        from tosaic.emit.files import write_text
        from tosaic.reports.numerics_page import html_page

        write_text(html, html_page(report, f"Numerics of {model}"))
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        _print_layers(report)
        if html is not None:
            console.stdout().print(f"Written to {html}", markup=False)


def _measured(
    model: str,
    recipe: str | None,
    calibration: str | None,
    data: str | None,
    count: int,
    target: str,
    executor: str,
    input_shape: tuple[str, ...],
    inputs: str | None,
) -> Numerics:
    if recipe:
        find_recipe(recipe)
    if recipe and not calibration:
        raise InputError(
            f"--quantize {recipe} finds ranges from sample inputs. Pass them with --calibration "
            "data.npz: one array per input, samples along the leading axis."
        )
    if not recipe and not model.endswith(".pt2"):
        raise InputError(
            f"{model} is not quantised. Say how with --quantize (int8, for instance) and give "
            "--calibration data.npz, or give a .pt2 file that is quantised already."
        )
    if not data and not calibration:
        raise InputError("There is no input to judge by. Pass some with --data heldout.npz.")
    console.quiet_torch()
    import torch

    from tosaic.reports.numerics import numerics
    from tosaic.tools import user_model

    user = user_model.load_model(model)
    examples = user_model.example_inputs(user, input_shape, inputs, calibration or data)

    def items(path: str | None) -> Any:
        if path is None:
            return None
        slots, arrays = user_model.calibration_slots(path, user, examples)
        return (tuple(map(torch.from_numpy, item)) for item in samples(path, slots, arrays))

    return numerics(
        user.model,
        examples,
        quantize=recipe,
        calibration=items(calibration) or (),
        data=items(data),
        target=target,
        executor=executor,
        samples=count,
    )


def _compared(old: Path, new: Path, inputs: str, count: int, executor: str) -> ProgramComparison:
    from tosaic.dialects.bindings import make_context
    from tosaic.emit import deserialize, read_bytes
    from tosaic.reports.numerics_programs import compare_programs

    modules, items = [], []
    for path in (old, new):
        module = deserialize(read_bytes(path), make_context())
        manifest = manifest_of(path, module)
        slots = [slot_of(info) for info in manifest.inputs]
        given = read_inputs(inputs, slots)
        arrays = [as_stored(i, a, inputs) for i, a in zip(manifest.inputs, given, strict=True)]
        split: list[list[Array]] = list(samples(inputs, slots, arrays))[:count]
        modules.append(module)
        items.append([manifest.to_held(item) for item in split])
    if len(items[0]) != len(items[1]):
        raise InputError(
            f"'{inputs}' is {len(items[0])} input(s) to '{old}' and {len(items[1])} to '{new}': "
            "their shapes differ. Compile both for the same shapes."
        )
    pairs = list(zip(*items, strict=True))
    return compare_programs(modules[0], modules[1], pairs, executor=executor)


def _print_layers(report: Numerics) -> None:
    from tosaic.reports.numerics import format_numerics

    table = console.table(
        *("layer", "ops", "module", "from", "dtype", ">fake", ">int", ">plain"),
        *(">alone", ">LSB", ">beyond %", ">range %", "cause"),
    )
    for layer in report.layers:
        table.add_row(
            *(layer.name, " ".join(layer.ops), layer.module, _near(layer.where), layer.dtype),
            *(f"{layer.fake_db:.1f}", f"{layer.integer_db:.1f}", f"{layer.integer_plain_db:.1f}"),
            *(f"{layer.local_db:.1f}", f"{layer.error_lsb:.1f}", f"{100 * layer.saturated:.2f}"),
            *(f"{100 * layer.range_used:.0f}", layer.cause),
        )
    console.show(table)
    console.stdout().print(f"\n{_LEGEND}\n\n{_near(format_numerics(report))}", markup=False)


def _print_comparison(comparison: ProgramComparison) -> None:
    table = console.table(
        *("name", "operator", "from", "dtype", "shape", ">differing %", ">by up to", ">dB"),
        "constants",
    )
    for tensor in comparison.tensors:
        if not tensor.differing:
            continue
        table.add_row(
            *(tensor.name, tensor.operator, _near(tensor.where), tensor.dtype),
            *("x".join(map(str, tensor.shape)) or "scalar", f"{100 * tensor.differing:.2f}"),
            *(f"{tensor.largest:g}", f"{tensor.sqnr_db:.1f}"),
            "differ" if tensor.constants_differ else "",
        )
    if comparison.first is not None:
        console.show(table)
    console.stdout().print(f"\n{_near(comparison.verdict)}", markup=False)


def _near(text: str) -> str:
    """Return `text` with places as seen from the working directory, where they are inside."""
    return text.replace(f"{Path.cwd()}{os.sep}", "")
