"""Records which targets take each operator when it is quantised, for docs/op_support.md.

    python test/opinfo/opinfo_targets.py [ROW ...]     # writes docs/op_targets.json; minutes

A few small samples of each row are quantised by each recipe and lowered for each target, up to its
own checks; that those agree with Vela is tested in test/unit, and that the integers are right in
test/e2e.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import tempfile
from pathlib import Path

import torch
from opinfo_driver import Sample, as_model
from opinfo_table import Row, rows
from torch.export import ExportedProgram

import tosaic
from tosaic.dialects.bindings import make_context
from tosaic.emit import validate
from tosaic.errors import TosaicError
from tosaic.frontend import export_model, import_program
from tosaic.lowering.pipeline import Pipeline
from tosaic.quantizer import TosaQuantizer, quantize
from tosaic.quantizer.recipe import find_recipe
from tosaic.stages import Options, stages

PATH = Path(__file__).resolve().parents[2] / "docs" / "op_targets.json"
FLOAT = "float"
_INTEGER_TARGETS = ("tosa-1.0-int", "ethos-u55-256", "ethos-u85-256")
# How the model is quantised → the targets that are tried.
TARGETS = {FLOAT: ("tosa-1.0-fp",), "int8": _INTEGER_TARGETS, "a16w8": _INTEGER_TARGETS}
_SAMPLES = 2
_TRIED = 12
Counts = dict[str, dict[str, list[int]]]


def usable(row: Row) -> list[Sample]:
    """Return up to two f32 samples that can be quantised: finite, not empty."""
    found = []
    for sample in row.samples(torch.float32, _TRIED):
        if (made := as_model(sample, constants=False)) is None:
            continue
        model, inputs = made
        with torch.no_grad():
            values = [*(x for x in inputs if x.is_floating_point()), *model(*inputs)]
        if inputs and all(x.numel() and bool(x.float().isfinite().all()) for x in values):
            found.append(sample)
        if len(found) == _SAMPLES:
            break
    return found


def measure(name: str) -> tuple[str, Counts]:
    """Return recipe → target → [samples that compile, samples tried].

    A sample compiles if it does with all tensors as inputs, or with all but the first as constants.
    """
    samples = usable(rows()[name])
    counts = {r: {t: [0, len(samples)] for t in targets} for r, targets in TARGETS.items()}
    for sample in samples:
        for recipe, targets in TARGETS.items():
            programs = [_exported(sample, recipe, constants=held) for held in (False, True)]
            for target in targets:
                counts[recipe][target][0] += any(
                    _compiles(p, target, quantized=recipe != FLOAT) for p in programs
                )
    return name, counts


def _exported(sample: Sample, recipe: str, *, constants: bool) -> ExportedProgram | None:
    made = as_model(sample, constants=constants)
    if made is None:
        return None
    model, inputs = made
    try:
        if recipe == FLOAT:
            return export_model(model, inputs)
        return quantize(model, inputs, [inputs], quantizer=TosaQuantizer(find_recipe(recipe)))
    except TosaicError:
        return None


def _compiles(program: ExportedProgram | None, target: str, *, quantized: bool) -> bool:
    if program is None:
        return False
    found = tosaic.target(target)
    try:
        module = import_program(program, make_context())
        for _, text in stages(found, Options(), quantized=quantized):
            Pipeline.parse(text).run(module)
        validate(module, found)
    except TosaicError:
        return False
    return True


def _quiet() -> None:
    torch.set_num_threads(1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)  # PyTorch warns, logs and prints about what it does not trace
    os.dup2(silent, 2)
    tempfile.tempdir = tempfile.mkdtemp()


def main() -> None:
    """Measure the rows given, or all, and write them to docs/op_targets.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="ROW", help="all where none is given")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    names = given.names or list(rows())
    known = json.loads(PATH.read_text()) if given.names and PATH.is_file() else {}
    with concurrent.futures.ProcessPoolExecutor(given.jobs, initializer=_quiet) as pool:
        for name, counts in pool.map(measure, names):
            known[name] = counts
            print(name, {r: [c[0] for c in t.values()] for r, t in counts.items()}, flush=True)
    ordered = {name: known[name] for name in rows() if name in known}
    PATH.write_text(json.dumps(ordered, indent=None).replace('}}, "', '}},\n "') + "\n")


if __name__ == "__main__":
    main()
