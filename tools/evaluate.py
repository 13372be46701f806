"""`tosaic evaluate`: what a model is worth on data, by form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tosaic.errors import InputError
from tosaic.quantizer.recipe import find_recipe
from tosaic.targets import target as find_target
from tosaic.tools import console
from tosaic.tools.arrays import read_arrays, samples

if TYPE_CHECKING:
    from tosaic.tools.user_model import UserModel
    from tosaic.tuning.evaluate import Evaluation
    from tosaic.tuning.metrics import Metric

_LABELS = "labels"


@click.command("evaluate")
@click.argument("model")
@click.option("--data", required=True, metavar="NPZ|DIR|FILE.py:NAME", help="Samples and labels.")
@click.option("--labels", metavar="ARRAY", help="The .npz array of labels.  [default: labels]")
@click.option("--mean", default="0", show_default=True, metavar="R,G,B", help="Of image folders.")
@click.option("--deviation", default="1", show_default=True, metavar="R,G,B", help="Likewise.")
@click.option("--quantize", "recipe", metavar="RECIPE", help="A recipe's name, or a .toml file.")
@click.option("--calibration", metavar="NPZ", help="Samples of every input, on the leading axis.")
@click.option("--target", default="tosa-1.0-int", show_default=True, help="See `tosaic targets`.")
@click.option("--form", "forms", multiple=True, metavar="FORM", help="float, fake_quant, integer.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME|FILE.py:NAME", help="Or yours.")
@click.option("--executor", default="jit", show_default=True, help="What runs the integers.")
@click.option("--jobs", type=int, help="Samples at once.  [default: one per processor]")
@click.option("--input-shape", multiple=True, metavar="1x3x8x8", help="One per input, [:dtype].")
@click.option("--inputs", metavar="NPZ", help="Example inputs, in place of --input-shape.")
@click.option("--confusion", is_flag=True, help="Show which classes are taken for which.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate_command(
    model: str,
    data: str,
    labels: str | None,
    mean: str,
    deviation: str,
    recipe: str | None,
    calibration: str | None,
    target: str,
    forms: tuple[str, ...],
    metrics: tuple[str, ...],
    executor: str,
    jobs: int | None,
    input_shape: tuple[str, ...],
    inputs: str | None,
    confusion: bool,
    as_json: bool,
) -> None:
    """Say how well MODEL does on a data set: in float, fake-quantised and in integers.

    MODEL is as in `tosaic compile`. The data is an .npz file with an array per input and one of
    labels, a folder with a folder of images per class, or an iterable in a Python file that yields
    (inputs, labels), such as a PyTorch Dataset or DataLoader.
    """
    chosen = find_target(target)
    if recipe:
        find_recipe(recipe)
    check_calibration(recipe, calibration)
    console.quiet_torch()
    from tosaic.tools import user_model
    from tosaic.tuning.evaluate import FORMS, evaluate

    user = user_model.load_model(model)
    examples = user_model.example_inputs(user, input_shape, inputs, calibration)
    result = evaluate(
        user.model,
        read_data(
            data, user, examples, labels, numbers("mean", mean), numbers("deviation", deviation)
        ),
        examples,
        quantize=recipe,
        calibration=calibration_items(calibration, user, examples),
        target=chosen,
        forms=forms or FORMS,
        metrics=read_metrics(metrics),
        executor=executor,
        jobs=jobs,
    )
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
        return
    _print(result)
    if confusion:
        _print_confusion(result)


def check_calibration(recipe: str | None, calibration: str | None) -> None:
    """Refuse a recipe without calibration data, and data without a recipe."""
    if recipe and not calibration:
        raise InputError(
            f"--quantize {recipe} finds ranges from sample inputs. Pass them with --calibration "
            "data.npz: one array per input, samples along the leading axis."
        )
    if calibration and not recipe:
        raise InputError("--calibration is used by quantisation only. Add --quantize int8.")


def calibration_items(path: str | None, user: UserModel, examples: Sequence[Any]) -> list[Any]:
    """Return the calibration samples of an .npz file as tensors; none without a file."""
    if path is None:
        return []
    import torch

    from tosaic.tools import user_model

    slots, arrays = user_model.calibration_slots(path, user, examples)
    return [tuple(map(torch.from_numpy, batch)) for batch in samples(path, slots, arrays)]


def read_data(
    spec: str,
    user: UserModel,
    examples: Sequence[Any],
    labels: str | None,
    mean: Sequence[float],
    deviation: Sequence[float],
) -> Iterable[Any]:
    """Return the data set that --data names.

    Raises:
        InputError: there is none, or it does not fit the model.
    """
    from tosaic.tools import user_model
    from tosaic.tuning import data

    if spec.endswith(".npz"):
        arrays = read_arrays(spec)
        array = labels or (_LABELS if _LABELS in arrays else None)
        names = [slot.name for slot in user.slots(examples)]
        return data.from_arrays(arrays, names, array)
    if labels is not None:
        raise InputError("--labels names an array of an .npz file; --data is none. Leave it out.")
    if Path(spec).is_dir():
        shape = tuple(examples[0].shape)
        return data.image_folder(spec, shape, mean=mean, deviation=deviation)
    if not spec.rpartition(":")[0].endswith(".py"):
        raise InputError(
            f"--data is '{spec}'; it must be an .npz file, a folder of images, or FILE.py:NAME for "
            "an iterable of (inputs, labels)."
        )
    return user_model.load_iterable(spec, "--data")


def read_metrics(specs: Sequence[str]) -> Sequence[str] | dict[str, Metric] | None:
    """Return the metrics that --metric names; None where it is not given."""
    from tosaic.tools import user_model
    from tosaic.tuning.metrics import METRICS

    if not specs:
        return None
    if all(":" not in spec for spec in specs):
        return specs
    return {
        spec.rpartition(":")[2]: METRICS[spec]
        if spec in METRICS
        else user_model.load_value(spec, "--metric")
        for spec in specs
    }


def numbers(option: str, text: str) -> list[float]:
    """Return ``[0.5, 1.0]`` for ``"0.5,1"``."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"--{option} {text} cannot be read. Write numbers joined by commas, such as "
            "0.485,0.456,0.406."
        ) from None


def _print(result: Evaluation) -> None:
    names = list(next(iter(result.forms.values())).metrics)
    table = console.table(
        "form", *(f">{name}" for name in names), ">SQNR dB", ">plain dB", ">seconds"
    )
    for form, values in result.forms.items():
        ratios = [
            "" if value is None else f"{value:.2f}"
            for value in (values.sqnr_db, values.sqnr_plain_db)
        ]
        table.add_row(
            form,
            *(f"{values.metrics[name]:.4f}" for name in names),
            *ratios,
            f"{values.seconds:.2f}",
        )
    console.show(table)
    console.stdout().print(f"{result.count} samples", markup=False)


def _print_confusion(result: Evaluation) -> None:
    for form, values in result.forms.items():
        if values.confusion is None:
            raise InputError(
                "--confusion needs class numbers as labels, and scores along axis 1 of the first "
                "output; this data or model has none."
            )
        classes = range(len(values.confusion))
        table = console.table("true", *(f">{n}" for n in classes), title=f"\n{form}: given class")
        for n, row in enumerate(values.confusion):
            table.add_row(str(n), *map(str, row))
        console.show(table)
