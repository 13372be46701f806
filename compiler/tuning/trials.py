"""One trial: a recipe compiled for the target and judged on data; and where finished ones are kept.

MLIR does not cross processes. What does is a `Study`, plain data that all trials have in common,
the text of a recipe, and a dict of figures.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.export import ExportedProgram

from tosaic.api import compile_program, quantize_program
from tosaic.emit.files import write_text
from tosaic.errors import InputError, TosaicError
from tosaic.quantizer.recipe import QuantRecipe
from tosaic.stages import Options
from tosaic.targets import Target
from tosaic.tuning.data import Batch, Slot
from tosaic.tuning.evaluate import collect, compiled_run, one_torch_thread
from tosaic.tuning.metrics import METRICS, Metric, sqnr_db

Array = npt.NDArray[Any]
_FORMAT = 1  # of trial files; a new number makes all old ones stale


@dataclass(frozen=True)
class Study:
    """What is tuned: the exported float model, what to calibrate and judge it on, and for what.

    `reference` is what the float model gives for `data`. `metric` is "sqnr", the name of a metric
    or a function; `key` tells studies apart, and is the same whenever all of the above is.
    """

    program: bytes
    calibration: tuple[tuple[Array, ...], ...]
    slots: tuple[Slot, ...]
    data: tuple[Batch, ...]
    labels: Array | None
    reference: tuple[Array, ...]
    target: Target
    metric: str | Metric
    key: str = field(compare=False)


@dataclass(frozen=True)
class Figures:
    """What a recipe is worth and costs; `error` says why it could not be compiled, else "".

    `quality` is the study's metric, `sqnr_db` always that of the integers against float, mean
    removed. `cycles` is per inference, the rest in bytes; what the target has no figure for is 0.
    """

    quality: float = float("-inf")
    sqnr_db: float = float("-inf")
    cycles: int = 0
    flash: int = 0
    sram: int = 0
    dram: int = 0
    seconds: float = 0.0
    error: str = ""

    def cost(self, name: str) -> int:
        """Return the figure called `name`, one of `Backend.costs`."""
        return int(getattr(self, name))


def make_study(
    program: ExportedProgram,
    calibration: Iterable[Sequence[Array]],
    slots: Sequence[Slot],
    data: Sequence[Batch],
    labels: Array | None,
    reference: Sequence[Array],
    target: Target,
    metric: str | Metric,
) -> Study:
    """Return the study of a float program; see `Study`."""
    items = tuple(tuple(item) for item in calibration)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    digest = hashlib.sha256(repr((_FORMAT, torch.__version__, target)).encode())
    digest.update(_metric_identity(metric))
    digest.update(str(program.graph).encode())
    for name, tensor in sorted({**program.state_dict, **program.constants}.items()):
        if isinstance(tensor, torch.Tensor):
            digest.update(name.encode())
            _digest(digest, tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    for arrays in (*items, *(batch.inputs for batch in data), () if labels is None else (labels,)):
        for array in arrays:
            _digest(digest, array)
    key = digest.hexdigest()[:16]
    return Study(
        buffer.getvalue(),
        items,
        tuple(slots),
        tuple(data),
        labels,
        tuple(reference),
        target,
        metric,
        key,
    )


def _digest(digest: Any, array: Array) -> None:
    digest.update(repr((array.shape, str(array.dtype))).encode())
    digest.update(np.ascontiguousarray(array).tobytes())


def _metric_identity(metric: str | Metric) -> bytes:
    if isinstance(metric, str):
        return metric.encode()
    code = getattr(metric, "__code__", None)
    name = f"{getattr(metric, '__module__', '')}.{getattr(metric, '__qualname__', metric)}"
    return name.encode() + (b"" if code is None else code.co_code + repr(code.co_consts).encode())


def run_trial(study: Study, text: str) -> Figures:
    """Quantise the model of `study` by the recipe in `text` (TOML), compile, run and judge it."""
    start = time.perf_counter()
    with one_torch_thread():
        program, examples = _program(study.key, study)
        calibration = [tuple(map(torch.from_numpy, item)) for item in study.calibration]
        try:
            recipe = QuantRecipe.from_toml(text)
            quantized = quantize_program(program, examples, recipe, calibration)
            compiled = compile_program(quantized, study.target, Options(in_process=True))
            run = compiled_run(compiled)
        except TosaicError as error:
            return Figures(error=str(error), seconds=time.perf_counter() - start)
        outputs = collect({"integer": (run, False)}, study.data, jobs=1).outputs["integer"]
    ratio = sqnr_db(study.reference, outputs, mean_removed=True)
    quality = ratio
    if study.metric != "sqnr":
        function = METRICS[study.metric] if isinstance(study.metric, str) else study.metric
        shown: Any = outputs[0] if len(outputs) == 1 else tuple(outputs)
        quality = float(function(shown, study.labels))
    seconds = round(time.perf_counter() - start, 3)
    (artifact,) = compiled.artifacts.entries.values()
    costs: dict[str, Any] = dict(artifact.costs)
    return Figures(quality=quality, sqnr_db=ratio, seconds=seconds, **costs)


@lru_cache(maxsize=2)
def _loaded(key: str, data: bytes) -> ExportedProgram:
    del key
    return torch.export.load(io.BytesIO(data))


def _program(key: str, study: Study) -> tuple[ExportedProgram, tuple[torch.Tensor, ...]]:
    program = _loaded(key, study.program)
    stored = program.example_inputs
    assert stored is not None
    return program, (*stored[0], *stored[1].values())


@dataclass(frozen=True)
class Store:
    """Finished trials of a study on disk, a JSON file each; a new run finds them again."""

    folder: Path
    study: str

    def _path(self, text: str) -> Path:
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.folder / self.study / f"{name}.json"

    def get(self, text: str) -> Figures | None:
        """Return the figures of the recipe `text`, None where that trial has not been run.

        Raises:
            InputError: the file is there and is not what `put` writes.
        """
        path = self._path(text)
        if not path.exists():
            return None
        try:
            return Figures(**json.loads(path.read_text(encoding="utf-8"))["figures"])
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise InputError(
                f"'{path}' is not a finished trial: {error}. Remove it; the trial runs again."
            ) from error

    def put(self, text: str, figures: Figures) -> None:
        """Keep `figures`; the file appears whole or not at all."""
        data = {"recipe": text, "figures": figures.__dict__}
        write_text(self._path(text), json.dumps(data, indent=1))
