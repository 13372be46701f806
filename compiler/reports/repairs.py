"""What each repair of a quantised model's accuracy gains, and the recipe with those that help.

A repair needs calibration data and minutes of a processor, no training and no labels. It is judged
on inputs that calibration has not seen, by the ratio of signal to quantisation noise (SQNR) of the
fake-quantised program against the float model; the signal is what differs from input to input.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from tosaic.errors import InputError
from tosaic.frontend import export_model
from tosaic.quantizer import QuantRecipe, TosaQuantizer, find_recipe
from tosaic.quantizer import quantize as quantize_program

# In the order in which they are tried: each changes what the next has to work with.
REPAIRS: tuple[tuple[str, Any], ...] = (
    ("bias_correction", True),
    ("equalisation", True),
    ("migration", True),
    ("rounding", "fitted"),
    ("rounding", "learned"),
)
_WITHOUT: dict[str, Any] = {
    "bias_correction": False,
    "equalisation": False,
    "migration": False,
    "rounding": "nearest",
}
_LEAST_GAIN_DB = 0.2  # below it, a gain on few inputs is chance
_FEWEST = 4
_LEFT_OUT = 4  # every how many-th calibration input is held out where no others are given


@dataclass(frozen=True)
class RepairStep:
    """A repair that was tried on top of those kept before it.

    `before_db` and `after_db` are SQNR in dB on held-out inputs; `seconds` is what quantising with
    it took.
    """

    name: str
    before_db: float
    after_db: float
    kept: bool
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class RepairReport:
    """All that was tried, and the recipe with what helped."""

    steps: tuple[RepairStep, ...]
    recipe: QuantRecipe
    before_db: float
    after_db: float


def repair_report(
    model: torch.nn.Module | ExportedProgram,
    example_inputs: Sequence[Any],
    calibration: Sequence[Any],
    *,
    quantize: str | QuantRecipe = "int8",
    held_out: Sequence[Any] = (),
    progress: Callable[[str], None] = lambda step: None,
) -> RepairReport:
    """Try the repairs of `REPAIRS` one after another and keep those that help.

    The recipe is first taken without any of them; its overrides stay as they are. Items of
    `calibration` and `held_out` are as in `tosaic.compile`; without `held_out`, every fourth item
    of `calibration` is kept back to judge by.

    Raises:
        InputError: there is no such recipe, or too little data, or no float output that varies.
    """
    recipe = find_recipe(quantize) if isinstance(quantize, str) else quantize
    seen, unseen = list(calibration), list(held_out)
    if not unseen:
        unseen = seen[_LEFT_OUT - 1 :: _LEFT_OUT]
        seen = [item for n, item in enumerate(seen, 1) if n % _LEFT_OUT]
    if len(seen) + len(unseen) < _FEWEST or len(unseen) < 1 or not seen:
        raise InputError(
            f"Repairs are judged on inputs that calibration has not seen, and there are "
            f"{len(seen) + len(unseen)} input(s) in all. Pass at least {_FEWEST}, better 32."
        )
    program = export_model(model, example_inputs)
    reference = _outputs(program, unseen)

    def judged(recipe: QuantRecipe) -> float:
        rounded = _quantised(program, example_inputs, seen, recipe)
        return _sqnr_db(reference, _outputs(rounded, unseen))

    best = dataclasses.replace(recipe, **_WITHOUT)
    progress("without repairs")
    first = before = judged(best)
    steps = []
    for name, value in REPAIRS:
        label = name if value is True else f"{name}={value}"
        progress(label)
        start = time.perf_counter()
        tried = dataclasses.replace(best, **{name: value})
        after = judged(tried)
        kept = after >= before + _LEAST_GAIN_DB
        steps.append(RepairStep(label, before, after, kept, time.perf_counter() - start))
        if kept:
            best, before = tried, after
    return RepairReport(tuple(steps), best, first, before)


def _quantised(
    program: ExportedProgram, examples: Sequence[Any], items: Sequence[Any], recipe: QuantRecipe
) -> ExportedProgram:
    return quantize_program(program, examples, items, quantizer=TosaQuantizer(recipe))


def _outputs(program: ExportedProgram, items: Sequence[Any]) -> list[Tensor]:
    """Return each float output for all items, stacked."""
    run = program.module(check_guards=False)
    rows = []
    with torch.no_grad():
        for item in items:
            parts = item if isinstance(item, list | tuple) else (item,)
            leaves = pytree.tree_leaves(run(*map(torch.as_tensor, parts)))
            rows.append([x for x in leaves if isinstance(x, Tensor) and x.is_floating_point()])
    return [torch.stack(column).double() for column in zip(*rows, strict=True)]


def _sqnr_db(reference: list[Tensor], outputs: list[Tensor]) -> float:
    """Return the SQNR in dB over all outputs, each measured by its own signal."""
    noise, count = 0.0, 0
    for real, given in zip(reference, outputs, strict=True):
        mean = real.mean(0, keepdim=True) if len(real) > 1 else real.mean()
        signal = float((real - mean).square().sum())
        if signal:
            noise += float((given - real).square().sum()) / signal
            count += 1
    if not count:
        raise InputError(
            "No float output of the model differs from one held-out input to another, so accuracy "
            "cannot be judged by them. Pass inputs that are not alike."
        )
    return -10 * math.log10(noise / count) if noise else math.inf
