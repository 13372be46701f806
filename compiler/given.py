"""What a user gives to compile, sorted by entry and checked before any work is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import torch
from torch.export import ExportedProgram

from tosaic.emit.functions import MAIN
from tosaic.errors import InputError
from tosaic.program import check_names
from tosaic.quantizer.recipe import QuantRecipe

if TYPE_CHECKING:
    from torchao.quantization.pt2e.quantizer import Quantizer

Model: TypeAlias = torch.nn.Module | ExportedProgram
Recipe: TypeAlias = Union[str, QuantRecipe, "Quantizer"]


@dataclass(frozen=True)
class Given:
    """What there is for one entry, as `tosaic.compile` takes it for one model."""

    model: Model
    example_inputs: Sequence[Any]
    quantize: Recipe | None
    calibration: Iterable[Any]
    dynamic_shapes: Any


def given_entries(
    model: Any, example_inputs: Sequence[Any], quantize: Any, calibration: Any, dynamic_shapes: Any
) -> dict[str, Given]:
    """Return what there is by entry: one called main where `model` is a model.

    Raises:
        InputError: names that cannot be, or an argument that lacks an entry.
    """
    if not isinstance(model, Mapping):
        return {MAIN: Given(model, example_inputs, quantize, calibration, dynamic_shapes)}
    check_names(model)
    if len(example_inputs):
        raise InputError(
            "Of several entries each has inputs of its own. Give {"
            + ", ".join(f'"{name}": (model, inputs)' for name in model)
            + "} without example_inputs."
        )
    names = tuple(model)
    recipes = _by_entry(quantize, names, "quantize")
    shapes = {} if dynamic_shapes is None else _by_entry(dynamic_shapes, names, "dynamic_shapes")
    data: Mapping[str, Iterable[Any]] = {}
    if isinstance(calibration, Mapping):
        data = _by_entry(calibration, names, "calibration")
    elif any(recipe is not None for recipe in recipes.values()):
        raise InputError(
            f"The program has the entries {', '.join(names)}, and each is calibrated on data of "
            f'its own. Give calibration={{"{names[0]}": [inputs, …], …}}.'
        )
    out = {}
    for name, value in model.items():
        parts = value if isinstance(value, tuple) else (value, ())
        if len(parts) != 2 or not isinstance(parts[0], torch.nn.Module | ExportedProgram):
            raise InputError(
                f"Entry '{name}' must be a model or (model, example inputs), got "
                f"{type(value).__name__}."
            )
        recipe = recipes.get(name)
        if recipe is not None and name not in data:
            raise InputError(
                f"Entry '{name}' is to be quantised and has no calibration data. Add "
                f'calibration={{"{name}": [inputs, …]}}.'
            )
        out[name] = Given(*parts, recipe, data.get(name, ()), shapes.get(name))
    return out


def _by_entry(value: Any, names: Sequence[str], what: str) -> Mapping[str, Any]:
    """Return `value` by entry: what has no names is for all."""
    if not isinstance(value, Mapping):
        return dict.fromkeys(names, value)
    unknown = next((name for name in value if name not in names), None)
    if unknown is not None:
        raise InputError(
            f"{what} has '{unknown}', which is no entry. The entries are: {', '.join(names)}."
        )
    return value
