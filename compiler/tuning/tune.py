"""`tosaic.tune`: the recipe that suits a budget, searched per layer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.export import ExportedProgram

from tosaic.api import is_quantized
from tosaic.backends import backend_of
from tosaic.emit.files import write_text
from tosaic.errors import InputError
from tosaic.frontend import export_model
from tosaic.quantizer.recipe import QuantRecipe, find_recipe
from tosaic.targets import Target
from tosaic.targets import target as find_target
from tosaic.tuning.choices import ACTIVATIONS, WEIGHTS, check_choices, find_units
from tosaic.tuning.data import Slot, batches
from tosaic.tuning.evaluate import collect, eager_run
from tosaic.tuning.metrics import METRICS, Metric, is_classification
from tosaic.tuning.search import Goal, Search
from tosaic.tuning.trials import Figures, Store, Study, make_study
from tosaic.tuning.workers import open_workers

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Progress:
    """How far a search is: trials done, found on disk among them, and at most how many more.

    `seconds_left` is an estimate for those.
    """

    done: int
    resumed: int
    left: int
    seconds_left: float
    best: Figures | None


@dataclass(frozen=True)
class Trial:
    """A recipe (TOML) that was tried; those that treat all layers alike have a `name`."""

    recipe: str
    figures: Figures
    name: str = ""


@dataclass(frozen=True)
class TuneResult:
    """What a search found.

    `best` keeps `budget` (and the floor) as far as any trial did; `base` is the recipe that all
    others are compared with; `axis` is the cost they are compared by.
    """

    axis: str
    budget: dict[str, int]
    floor: float | None
    metric: str
    base: Trial
    best: Trial
    trials: tuple[Trial, ...]

    @property
    def recipe(self) -> QuantRecipe:
        """The best recipe."""
        return QuantRecipe.from_toml(self.best.recipe)

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials that no other beats in both quality and cost, cheapest first."""
        good = [trial for trial in self.trials if not trial.figures.error]
        ordered = sorted(
            good, key=lambda t: (t.figures.cost(self.axis), -t.figures.quality, -t.figures.sqnr_db)
        )
        out: list[Trial] = []
        for trial in ordered:
            if not out or trial.figures.quality > out[-1].figures.quality:
                out.append(trial)
        return tuple(out)

    @property
    def is_within(self) -> bool:
        """Whether the best recipe keeps the budget and the floor."""
        return Goal(self.axis, self.budget, self.floor).excess(self.best.figures) == 0.0

    def to_json(self) -> str:
        """Return all trials as JSON text."""
        return json.dumps(asdict(self), indent=1)

    def save(self, folder: str | Path) -> list[Path]:
        """Write recipe.toml, trials.json and pareto.svg to `folder` and return their paths.

        Raises:
            InputError: the folder cannot be written, or matplotlib is not installed.
        """
        from tosaic.tuning.plot import pareto_svg  # noqa: PLC0415  (matplotlib is slow to import)

        folder = Path(folder)
        contents = {
            "recipe.toml": self.best.recipe,
            "trials.json": self.to_json(),
            "pareto.svg": pareto_svg(self),
        }
        return [write_text(folder / name, text) for name, text in contents.items()]


def tune(
    model: torch.nn.Module | ExportedProgram,
    example_inputs: Sequence[Any] = (),
    *,
    calibration: Iterable[Any],
    data: Iterable[Any],
    target: str | Target = "ethos-u55-128",
    metric: str | Metric = "sqnr",
    budget: Mapping[str, int] | None = None,
    floor: float | None = None,
    recipe: str | QuantRecipe = "int8",
    weights: Sequence[str] = WEIGHTS,
    activations: Sequence[str] = ACTIVATIONS,
    trials: int = 200,
    workers: int = 0,
    scheduler: str | None = None,
    folder: str | Path | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> TuneResult:
    """Search how to quantise each layer of `model` for the best quality within a budget.

    Every recipe that counts was compiled for `target`, through Vela, and run on `data`.

    Args:
        model: a float module in eval mode, or an ExportedProgram.
        example_inputs: as `tosaic.compile` takes them.
        calibration: as `tosaic.compile` takes it.
        data: what recipes are judged on, as `tosaic.evaluate` takes it.
        target: an Ethos-U, or a Cortex-M, of which there are no cycles.
        metric: the quality: "sqnr" (dB against float, mean removed), "top1", "top5", or a function
            of (output, labels) that is better when higher.
        budget: the most "cycles" per inference, or bytes of "flash", "sram" or "dram"; the first
            named is the cost that recipes are compared by. By default what `recipe` itself costs in
            cycles (in flash, for Cortex-M).
        floor: the least quality; with it, the cheapest recipe is searched that has it.
        recipe: what all layers have in common; its overrides stay in force.
        weights: choices per layer: "w8", "w4", "c16" (16 values), "p50" (half are zero) and so on;
            the first is what the search starts from.
        activations: choices per layer: "a8", "a16"; likewise.
        trials: the most recipes to try, beside those that treat all layers alike.
        workers: processes that run trials side by side (Dask); 0 runs them in this one.
        scheduler: address of a Dask scheduler whose workers run the trials instead.
        folder: where finished trials are kept; a search that was interrupted goes on from there.
        progress: called after each trial.

    Raises:
        InputError: an argument or the data does not fit, or the base recipe does not compile.
    """
    chosen = find_target(target)
    base = find_recipe(recipe) if isinstance(recipe, str) else recipe
    check_choices(weights, activations)
    _check(chosen, budget or {}, trials)
    program = export_model(model, example_inputs)
    if is_quantized(program):
        raise InputError("The program is quantised already. Tune the float model it was made from.")
    study = _study(program, example_inputs, calibration, data, chosen, metric)
    units = find_units(program, base)
    with ExitStack() as stack:
        pool = stack.enter_context(open_workers(workers, scheduler))
        runner = _Runner(study, pool, Store(Path(folder), study.key) if folder else None, progress)
        axis = next(iter(budget), "") if budget else ""
        axis = axis or backend_of(chosen).costs[0]
        search = Search(base, units, weights, activations, axis, budget, floor, runner.run, trials)
        runner.most = search.most
        search.run()
    names = {text: name for name, text in search.uniform.items()}
    found = tuple(Trial(t, f, names.get(t, "")) for t, f in search.seen.items())
    by_text = {trial.recipe: trial for trial in found}
    return TuneResult(
        axis,
        dict(search.goal.budget),
        floor,
        metric if isinstance(metric, str) else metric.__name__,
        by_text[next(iter(names))],
        by_text[search.best()],
        found,
    )


class _Runner:
    """Runs trials that are not on disk yet, and tells how far it is."""

    def __init__(
        self,
        study: Study,
        pool: Any,
        store: Store | None,
        progress: Callable[[Progress], None],
    ) -> None:
        self._study = study
        self._pool = pool
        self._store = store
        self._progress = progress
        self._done = 0
        self._resumed = 0
        self._seconds = 0.0
        self.most = 0

    def run(self, texts: Sequence[str], best: Callable[[], Figures | None]) -> dict[str, Figures]:
        found: dict[str, Figures] = {}
        for text in texts:
            known = self._store.get(text) if self._store else None
            if known is not None:
                found[text] = known
                self._resumed += 1
                self._tell(best())
        missing = [text for text in texts if text not in found]
        start = time.perf_counter()
        before = self._seconds
        for text, figures in self._pool.run(self._study, missing) if missing else ():
            if self._store:
                self._store.put(text, figures)
            found[text] = figures
            self._seconds = before + time.perf_counter() - start
            self._tell(best())
        return {text: found[text] for text in texts}  # in their order, not that of the workers

    def _tell(self, best: Figures | None) -> None:
        self._done += 1
        ran = self._done - self._resumed
        left = max(0, self.most - self._done)
        self._progress(
            Progress(
                self._done, self._resumed, left, left * self._seconds / ran if ran else 0.0, best
            )
        )


def _check(target: Target, budget: Mapping[str, int], trials: int) -> None:
    known = backend_of(target).costs
    if not known:
        raise InputError(
            f"Target {target.name} has no device, so no recipe costs more than another. Choose an "
            "Ethos-U or a Cortex-M."
        )
    for name, most in budget.items():
        if name not in known:
            raise InputError(
                f"There is no budget of '{name}' for {target.name}; choose from {', '.join(known)}."
            )
        if most < 1:
            raise InputError(f"The budget of {name} is {most}; it must be 1 or more.")
    if trials < 1:
        raise InputError(f"trials={trials} must be 1 or more.")


def _study(
    program: ExportedProgram,
    given: Sequence[Any],
    calibration: Iterable[Any],
    data: Iterable[Any],
    target: Target,
    metric: str | Metric,
) -> Study:
    stored = program.example_inputs
    if stored is None and not given:
        raise InputError("The program has no example inputs stored in it. Pass example_inputs.")
    examples = tuple(given) if stored is None else (*stored[0], *stored[1].values())
    slots = [Slot.of(example) for example in examples]
    items = [_arrays(item) for item in calibration]
    if not items:
        raise InputError(
            "Tuning needs calibration data and got none. Pass calibration=[inputs, …]."
        )
    calls = list(batches(data, slots))
    runs = {"float": (eager_run(program.module(check_guards=False)), True)}
    found = collect(runs, calls)
    reference = found.outputs["float"]
    if isinstance(metric, str) and metric != "sqnr":
        if metric not in METRICS:
            raise InputError(
                f"There is no metric named '{metric}'; there are sqnr, {', '.join(METRICS)}. Give "
                "your own as a function of outputs and labels."
            )
        if not is_classification(reference, found.labels):
            raise InputError(
                f"{metric} needs a class number per sample as labels, and scores along axis 1 of "
                f"the first output ({list(reference[0].shape)} here). Give such data, or use sqnr."
            )
    return make_study(program, items, slots, calls, found.labels, reference, target, metric)


def _arrays(item: Any) -> tuple[Array, ...]:
    parts = item if isinstance(item, list | tuple) else (item,)
    return tuple(
        part.detach().cpu().numpy() if isinstance(part, torch.Tensor) else np.asarray(part)
        for part in parts
    )
