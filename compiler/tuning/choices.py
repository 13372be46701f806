"""What can be chosen per layer, and which layers there are to choose for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.export import ExportedProgram

from tosaic.errors import InputError
from tosaic.lowering.ops import Quantized
from tosaic.quantizer.recipe import Override, QuantRecipe
from tosaic.quantizer.select import enclosing_modules, op_names

WEIGHTS = ("w8", "w4", "c32", "c16")
ACTIVATIONS = ("a8", "a16")
_FIXED: dict[str, dict[str, Any]] = {
    "w8": {"weights": "int8", "clusters": 0, "sparsity": 0.0},
    "w4": {"weights": "int4", "clusters": 0, "sparsity": 0.0},
    "a8": {"activations": "int8"},
    "a16": {"activations": "int16"},
}


@dataclass(frozen=True, order=True)
class Unit:
    """Ops that are chosen for together: those of one kind in one module."""

    module: str
    op: str
    weighted: bool


@dataclass(frozen=True)
class Choice:
    """The weights and activations of a unit, by name: ``Choice("c16", "a8")``."""

    weights: str
    activations: str

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of an override that make it so."""
        return setting(self.weights) | setting(self.activations)


_COMPUTES = (Quantized.WEIGHTED, Quantized.RESCALED, Quantized.SUM, Quantized.COMPOSITE)

State = Mapping[Unit, Choice]


def setting(name: str) -> dict[str, Any]:
    """Return the fields of a recipe for "w8", "w4", "c16" (16 values), "p50" (half zeros), "a16".

    Raises:
        InputError: there is no such choice.
    """
    if name in _FIXED:
        return dict(_FIXED[name])
    found = re.fullmatch(r"([cp])(\d+)", name)
    number = int(found[2]) if found else 0
    if found and found[1] == "c" and 2 <= number <= 255:
        return {"weights": "int8", "clusters": number, "sparsity": 0.0}
    if found and found[1] == "p" and 1 <= number <= 99:
        return {"weights": "int8", "clusters": 0, "sparsity": number / 100}
    raise InputError(
        f"There is no choice '{name}' for a layer. Weights are w8, w4, c2 to c255 (so many values) "
        "or p1 to p99 (so many per cent are zero); activations a8 and a16."
    )


def check_choices(weights: Sequence[str], activations: Sequence[str]) -> None:
    """Refuse names that are no choices, or none at all; the first of each is the base.

    Raises:
        InputError: tells which.
    """
    for kind, names, known in (("weights", weights, "wcp"), ("activations", activations, "a")):
        if not names:
            raise InputError(f"There are no {kind} to choose from. Give one or more.")
        for name in names:
            if setting(name) and name[0] not in known:
                raise InputError(f"'{name}' is not a choice of {kind}.")


def find_units(program: ExportedProgram, recipe: QuantRecipe) -> list[Unit]:
    """Return the units of `program` in its order: layers with weights, and other ops that compute.

    Ops that belong to no module but the outermost have no name to choose them by, and keep what
    `recipe` says; so do those that it leaves in float.
    """
    # Importing torchao is slow.
    from tosaic.quantizer import TosaQuantizer  # noqa: PLC0415

    quantizer = TosaQuantizer(recipe)
    graph = quantizer.transform_for_annotation(program.module(check_guards=False))
    found: dict[tuple[str, str], Unit] = {}
    for unit in quantizer.plan(graph).integer_units():
        modules = enclosing_modules(unit.main)
        if unit.kind in _COMPUTES and modules and modules[-1][0]:
            key = (modules[-1][0], op_names(unit.main)[0])
            weighted = unit.weights is not None or (key in found and found[key].weighted)
            found[key] = Unit(*key, weighted)
    return [
        unit
        for unit in found.values()
        if not any(
            other.op == unit.op and other.module.startswith(f"{unit.module}.")
            for other in found.values()
        )
    ]


def recipe_of(base: QuantRecipe, default: Choice, state: State) -> QuantRecipe:
    """Return `base` with `default` for all ops and an override for each unit that differs."""
    overrides = tuple(
        Override(module=unit.module, op=unit.op, **_different(default, choice))
        for unit, choice in state.items()
        if choice != default
    )
    fields = {name: getattr(base, name) for name in base.__dataclass_fields__}
    fields |= default.settings
    return QuantRecipe(**(fields | {"overrides": (*base.overrides, *overrides)}))


def _different(default: Choice, choice: Choice) -> dict[str, Any]:
    before = default.settings
    return {name: value for name, value in choice.settings.items() if value != before[name]}
